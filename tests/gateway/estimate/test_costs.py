"""What something of a size takes, learnt."""

import pytest

from gateway.estimate.costs import TRUSTED_S, Costs


def test_the_first_measurement_counts_whole_and_scales() -> None:
    costs = Costs()
    assert not costs.are_known
    costs.learn(4096, 2.0, now=0.0)
    assert costs.are_known
    assert costs.of(4096) == 2.0
    assert costs.of(16_384) == 8.0
    assert costs.of(64) == pytest.approx(2.0 / 64)


def test_each_class_is_its_own_and_follows() -> None:
    costs = Costs()
    costs.learn(4096, 2.0, now=0.0)
    costs.learn(16_384, 6.0, now=0.0)
    assert (costs.of(4096), costs.of(16_384)) == (2.0, 6.0)
    assert costs.of(1024) == 0.5
    assert costs.of(65_536) == 24.0
    for _ in range(30):
        costs.learn(4096, 1.0, now=0.0)
    assert costs.of(4096) == pytest.approx(1.0, rel=1e-3)
    assert costs.of(16_384) == 6.0


def test_what_was_done_twice_bounds_what_follows() -> None:
    costs = Costs()
    costs.learn(4096, 50.0, now=0.0)
    assert costs.at_least(4096, now=0.0) == 0, "the first may have been cold"
    costs.learn(4096, 2.0, now=0.0)
    assert costs.at_least(4096, now=0.0) == 2.0
    assert costs.at_least(65_536, now=0.0) == 2.0, "what is larger takes no less, and maybe no more"
    assert costs.at_least(1024, now=0.0) == 0.5
    costs.learn(4096, 9.0, now=0.0)
    assert costs.at_least(4096, now=0.0) < 9.0 + 50.0
    costs.learn(4096, 1.0, now=0.0)
    assert costs.at_least(4096, now=0.0) == 1.0


def test_what_was_given_up_bounds_at_once_and_nothing_for_ever() -> None:
    costs = Costs()
    costs.learn_at_least(4096, 30.0, now=5.0)
    costs.learn_at_least(4096, 20.0, now=6.0)
    assert costs.at_least(4096, now=7.0) == 30.0
    assert costs.at_least(4096, now=5.0 + TRUSTED_S) == 0
    assert not costs.are_known
    costs.learn_at_least(4096, 20.0, now=5.0 + TRUSTED_S)
    assert costs.at_least(4096, now=5.0 + TRUSTED_S) == 20.0
