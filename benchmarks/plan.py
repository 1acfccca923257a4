"""Which requests are sent, and when: drawn from a seed, so that a run can be repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planned:
    """One request. arrival_s: when it is due, seconds after the start. side: pixels."""

    arrival_s: float
    side: int
    num_inference_steps: int
    seed: int


def make_plan(
    count: int,
    sides: Sequence[int],
    steps: Sequence[int],
    seed: int,
    rate: float | None = None,
    *,
    is_poisson: bool = True,
) -> list[Planned]:
    """The first `count` requests of a seed, each with a size and steps out of those given.

    rate: requests a second; none for a closed loop, where all are due at once. is_poisson: gaps are
    exponential, as of callers who know nothing of each other; else all are the same. Sizes, steps
    and seeds are those of the same plan without a rate.
    """
    random = np.random.default_rng(seed)
    chosen_sides, chosen_steps = random.choice(sides, count), random.choice(steps, count)
    seeds = random.integers(2**32, size=count)
    gaps = random.exponential(size=count) if is_poisson else np.ones(count)
    arrivals = np.cumsum(gaps) / rate if rate else np.zeros(count)
    columns = zip(arrivals, chosen_sides, chosen_steps, seeds, strict=True)
    return [Planned(float(at), int(s), int(n), int(own)) for at, s, n, own in columns]
