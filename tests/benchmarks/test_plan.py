"""The plan of requests."""

import numpy as np
import pytest

from benchmarks.plan import make_plan


def test_a_seed_gives_one_plan_and_another_gives_another() -> None:
    arguments = (50, [32, 64], [5, 10])
    assert make_plan(*arguments, 1, 2.0) == make_plan(*arguments, 1, 2.0)
    assert make_plan(*arguments, 1, 2.0) != make_plan(*arguments, 2, 2.0)


def test_sizes_and_steps_are_those_given_and_do_not_depend_on_the_rate() -> None:
    plans = [make_plan(100, [32, 64], [5, 10], 0, rate) for rate in (None, 1.0, 7.0)]
    kinds = [[(one.side, one.num_inference_steps, one.seed) for one in plan] for plan in plans]
    assert kinds[0] == kinds[1] == kinds[2]
    assert {kind[:2] for kind in kinds[0]} == {(32, 5), (32, 10), (64, 5), (64, 10)}


def test_a_closed_loop_is_due_at_once() -> None:
    assert {one.arrival_s for one in make_plan(10, [32], [5], 0)} == {0.0}


def test_a_fixed_rate_has_equal_gaps() -> None:
    plan = make_plan(4, [32], [5], 0, 8.0, is_poisson=False)
    assert [one.arrival_s for one in plan] == [0.125, 0.25, 0.375, 0.5]


def test_a_poisson_process_has_the_rate_and_exponential_gaps() -> None:
    arrivals = [one.arrival_s for one in make_plan(20_000, [32], [5], 3, 4.0)]
    gaps = np.diff(arrivals)
    assert gaps.mean() == pytest.approx(1 / 4, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 4, rel=0.03)
