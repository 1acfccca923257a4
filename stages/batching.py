"""Which tiles share a UNet call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from stages.job import Job
from stages.tiles import Tile


def batches(pairs: Iterable[tuple[Job, Tile]], max_rows: int) -> Iterator[list[tuple[Job, Tile]]]:
    """Group tiles of one size, in order, into calls of at most max_rows rows.

    A tile that takes more rows than that by itself goes alone.
    """
    by_size: dict[tuple[int, int], list[tuple[Job, Tile]]] = defaultdict(list)
    for job, tile in pairs:
        by_size[tile.size].append((job, tile))
    for group in by_size.values():
        batch: list[tuple[Job, Tile]] = []
        rows = 0
        for job, tile in group:
            if batch and rows + job.request.rows_per_tile > max_rows:
                yield batch
                batch, rows = [], 0
            batch.append((job, tile))
            rows += job.request.rows_per_tile
        yield batch
