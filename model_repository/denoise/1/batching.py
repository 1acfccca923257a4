"""Which jobs share a UNet call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class Batchable(Protocol):
    """What a job shows of itself: its latents' height and width, its rows in a UNet batch."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def rows(self) -> int: ...


J = TypeVar("J", bound=Batchable)


def batches(jobs: Iterable[J], max_rows: int) -> Iterator[list[J]]:
    """Group jobs of one latent size, in order, into calls of at most max_rows rows."""
    by_size: dict[tuple[int, int], list[J]] = defaultdict(list)
    for job in jobs:
        by_size[job.size].append(job)
    for group in by_size.values():
        batch: list[J] = []
        for job in group:
            if batch and sum(member.rows for member in batch) + job.rows > max_rows:
                yield batch
                batch = []
            batch.append(job)
        yield batch
