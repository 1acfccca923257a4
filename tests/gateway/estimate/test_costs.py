"""What something of a size takes, learnt."""

import pytest

from gateway.estimate.costs import Costs


def test_the_first_measurement_counts_whole_and_scales() -> None:
    costs = Costs()
    assert not costs.are_known
    costs.learn(4096, 2.0)
    assert costs.are_known
    assert costs.of(4096) == 2.0
    assert costs.of(16_384) == 8.0
    assert costs.of(64) == pytest.approx(2.0 / 64)


def test_each_class_is_its_own_and_follows() -> None:
    costs = Costs()
    costs.learn(4096, 2.0)
    costs.learn(16_384, 6.0)
    assert (costs.of(4096), costs.of(16_384)) == (2.0, 6.0)
    assert costs.of(1024) == 0.5
    assert costs.of(65_536) == 24.0
    for _ in range(30):
        costs.learn(4096, 1.0)
    assert costs.of(4096) == pytest.approx(1.0, rel=1e-3)
    assert costs.of(16_384) == 6.0
