"""Overlapping tiles of latents, and how their decoded images are blended.

A decoder's memory grows with the square of the tile (one attention over every latent pixel) or
linearly (its convolutions); a tile bounds both. For the x4 upscaler's decoder in float32 a tile of
128 x 128 latents takes 1 GiB for the attention's scores and as much again for their softmax.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TILE = 128  # latent pixels, height and width
OVERLAP = 32
SCALE = 4  # image pixels per latent pixel


@dataclass(frozen=True)
class Tile:
    """A window of the latents, in latent pixels; its height and width are at most TILE."""

    top: int
    left: int
    height: int
    width: int


def tiles(height: int, width: int) -> list[Tile]:
    """The windows that cover latents of this size, row by row, all of one shape.

    Neighbours share OVERLAP pixels or, next to the last row or column, more.
    """
    tile_height, tile_width = min(height, TILE), min(width, TILE)
    return [
        Tile(top, left, tile_height, tile_width)
        for top in _starts(height, tile_height)
        for left in _starts(width, tile_width)
    ]


def _starts(length: int, tile: int) -> Iterator[int]:
    yield from range(0, length - tile, TILE - OVERLAP)
    yield length - tile


class Blend:
    """Decoded tiles, added up with weights that fall linearly towards each neighbour.

    Towards the image's own border the weight stays 1, so a single tile comes out as it went in.
    """

    def __init__(self, height: int, width: int) -> None:
        """height, width: of the whole latents."""
        self._sum = np.zeros((3, SCALE * height, SCALE * width), np.float32)
        self._weight = np.zeros(self._sum.shape[1:], np.float32)

    def add(self, tile: Tile, image: NDArray[np.float32]) -> None:
        """Add a tile's image, float32 [3, 4 * tile.height, 4 * tile.width]."""
        height, width = (length // SCALE for length in self._weight.shape)
        rows = slice(SCALE * tile.top, SCALE * (tile.top + tile.height))
        columns = slice(SCALE * tile.left, SCALE * (tile.left + tile.width))
        weight = np.outer(_ramp(tile.top, tile.height, height), _ramp(tile.left, tile.width, width))
        self._sum[:, rows, columns] += weight * image
        self._weight[rows, columns] += weight

    def image(self) -> NDArray[np.float32]:
        """float32 [3, 4h, 4w], once every tile was added."""
        return self._sum / self._weight


def _ramp(start: int, length: int, total: int) -> NDArray[np.float32]:
    """A tile's weights along one axis, float32 [4 * length], above 0 and at most 1."""
    rising = np.arange(1, SCALE * length + 1) / (SCALE * OVERLAP + 1)
    weight = np.ones(SCALE * length)
    if start > 0:
        weight = np.minimum(weight, rising)
    if start + length < total:
        weight = np.minimum(weight, rising[::-1])
    return weight.astype(np.float32)
