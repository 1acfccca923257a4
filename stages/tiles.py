"""Overlapping tiles of latents, and the weights that blend what was made of them.

Both denoise and decode work in these tiles. Latents that fit in one tile are one piece.

A tile bounds memory, which grows with its area or, in an attention over every latent pixel, with
the square of that. In float32, one tile of 128 x 128 latents takes in the x4 upscaler's decoder
2 GiB for the attention's scores and their softmax and 1 GiB for convolutions. A larger overlap
hides more and costs more: with at most m latents in a tile, n in a row need
ceil((n - OVERLAP) / (m - OVERLAP)) tiles. They are all of one size, and as small as that allows.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

MAX_TILE = 160  # latent pixels, height and width, of one for the UNet unless it is told otherwise
SMALLEST_MAX_TILE, LARGEST_MAX_TILE = 64, 1024
MULTIPLE = 8  # of latent pixels: the UNet halves three times
PLAN = "model.plan"  # of TensorRT, whose profiles end at MAX_TILE
OVERLAP = 16  # latent pixels that neighbours share at least

Array = TypeVar("Array")  # NumPy's or torch's


@dataclass(frozen=True, eq=False)
class Span:
    """A tile along one axis."""

    start: int  # latent pixels
    length: int  # latent pixels
    scale: int  # pixels of the result for one of the latents
    # float32 [length * scale], 0..1; at every pixel those of all spans add up to 1.
    weights: NDArray[np.float32]

    @property
    def latents(self) -> slice:
        """What the span covers, in latent pixels."""
        return slice(self.start, self.start + self.length)

    @property
    def pixels(self) -> slice:
        """What the span covers, in pixels of the result."""
        return slice(self.start * self.scale, (self.start + self.length) * self.scale)


@dataclass(frozen=True, eq=False)
class Tile:
    """A window of latents."""

    vertical: Span
    horizontal: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in latent pixels."""
        return self.vertical.length, self.horizontal.length

    @property
    def weights(self) -> NDArray[np.float32]:
        """Of its result in the blend, float32 [height * scale, width * scale]."""
        return np.outer(self.vertical.weights, self.horizontal.weights)

    def window(self, latents: Array) -> Array:
        """The tile's part of latents as a view: [..., h, w] -> [..., tile height, tile width]."""
        view: Array = cast(Any, latents)[..., self.vertical.latents, self.horizontal.latents]
        return view


def tiles_of(height: int, width: int, maximum: int, scale: int = 1) -> list[Tile]:
    """Cover latents of a size with tiles, row by row. maximum, scale: as in `spans`."""
    return [
        Tile(vertical, horizontal)
        for vertical in spans(height, maximum, scale)
        for horizontal in spans(width, maximum, scale)
    ]


def checked_max_tile(name: str, value: str) -> int:
    """A largest tile that somebody has set. Raises ValueError with a sentence that names it."""
    allowed = range(SMALLEST_MAX_TILE, LARGEST_MAX_TILE + 1, MULTIPLE)
    if not (value.isascii() and value.isdigit() and int(value) in allowed):
        raise ValueError(
            f"{name}={value}: it must be a multiple of {MULTIPLE} from {SMALLEST_MAX_TILE} to"
            f" {LARGEST_MAX_TILE}."
        )
    return int(value)


def refuse_past_plan(name: str, max_tile: int, folder: Path) -> None:
    """Refuse a largest tile that a plan of TensorRT was not built for: `export/tensorrt_engine.py`.

    name: who set it. folder: a version's, of the engine. Raises ValueError.
    """
    if max_tile > MAX_TILE and (folder / PLAN).is_file():
        raise ValueError(
            f"{name}={max_tile}: the TensorRT plan in {folder} takes at most {MAX_TILE}. Lower it,"
            " or export that engine as onnx or aoti, which take any."
        )


@lru_cache(maxsize=128)
def spans(total: int, maximum: int, scale: int = 1) -> tuple[Span, ...]:
    """Cover an axis of `total` latent pixels with the fewest spans, all of one length.

    Starts and lengths are multiples of 8 where total and maximum are. Neighbours share OVERLAP
    pixels or more. maximum: of the length. scale: pixels of the result for one of the latents.
    """
    length, starts = total, [0]
    if total > maximum:
        count = -(-(total - OVERLAP) // (maximum - OVERLAP))
        shared = -(-(total + (count - 1) * OVERLAP) // count)
        length = shared + -shared % MULTIPLE
        last = total - length
        places = (-(-index * last // (count - 1)) for index in range(count))
        starts = [min(place + -place % MULTIPLE, last) for place in places]
    ramps = [ramp(start, length, total, scale) for start in starts]
    sums = np.zeros(total * scale)
    for start, weights in zip(starts, ramps, strict=True):
        sums[start * scale : (start + length) * scale] += weights
    return tuple(
        Span(
            start,
            length,
            scale,
            (weights / sums[start * scale : (start + length) * scale]).astype(np.float32),
        )
        for start, weights in zip(starts, ramps, strict=True)
    )


def ramp(start: int, length: int, total: int, scale: int) -> NDArray[np.float64]:
    """1, falling to almost 0 along half a cosine over OVERLAP at each end that has a neighbour."""
    steps = np.arange(0.5, OVERLAP * scale) / (OVERLAP * scale)
    rising = (1 - np.cos(np.pi * steps)) / 2
    weights = np.ones(length * scale)
    if start > 0:
        weights[: len(rising)] = rising
    if start + length < total:
        weights[-len(rising) :] *= rising[::-1]
    return weights
