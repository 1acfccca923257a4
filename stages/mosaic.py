"""An image put together from decoded tiles, in memory for one row of tiles."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.limits import SCALE
from stages.tiles import Span, Tile, spans, tiles_of


class Mosaic:
    """Blends decoded tiles, which come row by row, and keeps as pixels what no tile can change.

    image: uint8 [height, width, 3], complete once every tile was added.
    """

    def __init__(
        self, latents_size: tuple[int, int], image_size: tuple[int, int], max_tile: int
    ) -> None:
        """Height and width of both; what the tiles have beyond the image is cut off.

        max_tile: latent pixels, the largest height and width of a tile.
        """
        height, width = latents_size
        self.image = np.empty((*image_size, 3), np.uint8)
        self._tiles = tiles_of(height, width, max_tile, SCALE)
        self._verticals = spans(height, max_tile, SCALE)
        self._last_horizontal = spans(width, max_tile, SCALE)[-1]
        self._band: NDArray[np.float32] | None = None  # a row of tiles; one tile needs no blending
        if len(self._tiles) > 1:
            self._band = np.zeros((SCALE * self._verticals[0].length, SCALE * width, 3), np.float32)

    @property
    def tiles(self) -> int:
        """How many there are."""
        return len(self._tiles)

    def batches(self, size: int) -> Iterator[list[Tile]]:
        """All tiles, row by row, at most `size` at once."""
        for start in range(0, len(self._tiles), size):
            yield self._tiles[start : start + size]

    def add_tile(self, tile: Tile, image: NDArray[np.uint8]) -> None:
        """Add a tile's image, uint8 [h, w, 3]."""
        if self._band is None:
            self.image[:] = image[: len(self.image), : self.image.shape[1]]
            return
        self._band[:, tile.horizontal.pixels] += tile.weights[:, :, None] * image
        if tile.horizontal is self._last_horizontal:
            self._finish_row(self._band, tile.vertical)

    def _finish_row(self, band: NDArray[np.float32], vertical: Span) -> None:
        """Keep what lies above the next row of tiles, and move the band down to it."""
        index = self._verticals.index(vertical)
        below = self._verticals[index + 1 :][:1]
        top = vertical.pixels.start
        bottom = below[0].pixels.start if below else vertical.pixels.stop
        height, width = self.image.shape[:2]
        self.image[top:bottom] = band[: bottom - top][: height - top, :width].round()
        if below:
            kept = len(band) - (bottom - top)
            band[:kept] = band[bottom - top :].copy()
            band[kept:] = 0
