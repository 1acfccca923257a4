"""Which tiles share a UNet call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from stages.job import Job
from stages.tiles import Tile

ROW_PIXELS = 128 * 128  # latent pixels of a row, as max_rows counts them; a larger one is several


def pixels_of(job: Job) -> int:
    """What a tile of a job adds to a call, with its row without a prompt: latent pixels."""
    height, width = job.request.tiles[0].size
    return job.request.rows_per_tile * max(height * width, ROW_PIXELS)


def batches(pairs: Iterable[tuple[Job, Tile]], max_rows: int) -> Iterator[list[tuple[Job, Tile]]]:
    """Group tiles of one size, in order, into calls of at most max_rows rows of ROW_PIXELS.

    Those of the whole UNet and of its outermost blocks go apart. A tile that takes more than that
    by itself goes alone.
    """
    groups: dict[tuple[tuple[int, int], bool], list[tuple[Job, Tile]]] = defaultdict(list)
    for job, tile in pairs:
        groups[tile.size, job.is_shallow].append((job, tile))
    for group in groups.values():
        batch: list[tuple[Job, Tile]] = []
        pixels = 0
        for job, tile in group:
            if batch and pixels + pixels_of(job) > max_rows * ROW_PIXELS:
                yield batch
                batch, pixels = [], 0
            batch.append((job, tile))
            pixels += pixels_of(job)
        yield batch
