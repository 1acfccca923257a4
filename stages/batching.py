"""Which tiles share a UNet call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class Batchable(Protocol):
    """What is known of the work: its latents' height and width, its rows in a UNet batch."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def rows(self) -> int: ...


W = TypeVar("W", bound=Batchable)


def batches(work: Iterable[W], max_rows: int) -> Iterator[list[W]]:
    """Group work of one size, in order, into calls of at most max_rows rows."""
    by_size: dict[tuple[int, int], list[W]] = defaultdict(list)
    for item in work:
        by_size[item.size].append(item)
    for group in by_size.values():
        batch: list[W] = []
        for item in group:
            if batch and sum(member.rows for member in batch) + item.rows > max_rows:
                yield batch
                batch = []
            batch.append(item)
        yield batch
