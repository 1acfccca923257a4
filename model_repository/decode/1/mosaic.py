"""An image put together from decoded tiles, in memory for one row of tiles."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pixels import to_uint8
from tiles import Span, spans

SCALE = 4  # image pixels per latent pixel
Tile = tuple[Span, Span]  # rows and columns


class Mosaic:
    """Blends decoded tiles, which come row by row, and keeps as pixels what no tile can change.

    image: uint8 [height, width, 3], complete once every tile was added.
    """

    def __init__(self, latents_size: tuple[int, ...], image_size: tuple[int, int]) -> None:
        """Height and width of both; what the tiles have beyond the image is cut off."""
        height, width = latents_size
        self.image = np.empty((*image_size, 3), np.uint8)
        self._rows, self._columns = spans(height, SCALE), spans(width, SCALE)
        self._band = np.zeros((3, SCALE * self._rows[0].length, SCALE * width), np.float32)

    def batches(self, size: int) -> Iterator[list[Tile]]:
        """All tiles, row by row, at most `size` at once."""
        tiles = [(rows, columns) for rows in self._rows for columns in self._columns]
        for start in range(0, len(tiles), size):
            yield tiles[start : start + size]

    def add(self, tile: Tile, image: NDArray[np.float32]) -> None:
        """Add a tile's image, float32 [3, h, w] of about -1..1."""
        rows, columns = tile
        image *= rows.weights[:, None] * columns.weights
        self._band[:, :, columns.pixels] += image
        if columns is self._columns[-1]:
            self._finish(rows)

    def _finish(self, rows: Span) -> None:
        """Keep what lies above the next row of tiles, and move the band down to it."""
        index = self._rows.index(rows)
        below = self._rows[index + 1 :][:1]
        top = rows.pixels.start
        bottom = below[0].pixels.start if below else rows.pixels.stop
        height, width = self.image.shape[:2]
        self.image[top:bottom] = to_uint8(self._band[:, : bottom - top])[: height - top, :width]
        if below:
            kept = self._band.shape[1] - (bottom - top)
            self._band[:, :kept] = self._band[:, bottom - top :].copy()
            self._band[:, kept:] = 0
