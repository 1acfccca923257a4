"""An image put together from decoded tiles, in memory for one row of tiles."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.tiles import Span, spans

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
        self._band: NDArray[np.float32] | None = None  # a row of tiles; one tile needs no blending
        if len(self._rows) * len(self._columns) > 1:
            self._band = np.zeros((SCALE * self._rows[0].length, SCALE * width, 3), np.float32)

    def batches(self, size: int) -> Iterator[list[Tile]]:
        """All tiles, row by row, at most `size` at once."""
        tiles = [(rows, columns) for rows in self._rows for columns in self._columns]
        for start in range(0, len(tiles), size):
            yield tiles[start : start + size]

    def add(self, tile: Tile, image: NDArray[np.uint8]) -> None:
        """Add a tile's image, uint8 [h, w, 3]."""
        if self._band is None:
            self.image[:] = image[: len(self.image), : self.image.shape[1]]
            return
        rows, columns = tile
        weights = np.outer(rows.weights, columns.weights)[:, :, None]
        self._band[:, columns.pixels] += weights * image
        if columns is self._columns[-1]:
            self._finish(self._band, rows)

    def _finish(self, band: NDArray[np.float32], rows: Span) -> None:
        """Keep what lies above the next row of tiles, and move the band down to it."""
        index = self._rows.index(rows)
        below = self._rows[index + 1 :][:1]
        top = rows.pixels.start
        bottom = below[0].pixels.start if below else rows.pixels.stop
        height, width = self.image.shape[:2]
        self.image[top:bottom] = band[: bottom - top][: height - top, :width].round()
        if below:
            kept = len(band) - (bottom - top)
            band[:kept] = band[bottom - top :].copy()
            band[kept:] = 0
