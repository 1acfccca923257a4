"""Tiles of one size share calls, in order and within bounds."""

from typing import Any

import numpy as np

from stages.batching import batches
from stages.job import Job
from tests.stages.test_job import FakeCaller, request


def job(size: tuple[int, int] = (8, 8), rows: int = 1) -> Job:
    """Of an image of one tile."""
    image = np.zeros((*size, 3), np.uint8)
    return Job(request(image=image, guidance_scale=9.0 if rows == 2 else 1.0), FakeCaller())


def names(jobs: dict[str, Job], max_rows: int) -> list[str]:
    """The names of the jobs in each batch."""
    name_of: dict[Any, str] = {it: name for name, it in jobs.items()}
    pairs = [(it, it.request.tiles[0]) for it in jobs.values()]
    return ["".join(name_of[it] for it, _ in batch) for batch in batches(pairs, max_rows)]


def test_sizes_do_not_mix_and_order_is_kept() -> None:
    jobs = {"a": job(), "b": job((8, 16)), "c": job(), "d": job((8, 16))}
    assert names(jobs, 16) == ["ac", "bd"]


def test_rows_are_bounded() -> None:
    jobs = {"a": job(rows=2), "b": job(rows=2), "c": job(), "d": job(rows=2), "e": job(rows=2)}
    assert names(jobs, 4) == ["ab", "cd", "e"]


def test_a_job_larger_than_the_bound_goes_alone() -> None:
    assert names({"a": job(rows=2), "b": job(rows=2)}, 1) == ["a", "b"]


def test_nothing_makes_no_batch() -> None:
    assert names({}, 4) == []
