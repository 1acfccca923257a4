import numpy as np
import pytest
from numpy.typing import NDArray

from stages.limits import SCALE
from stages.mosaic import Mosaic

TILE = 128


def put_together(
    image: NDArray[np.uint8], height: int, width: int, batch_size: int
) -> NDArray[np.uint8]:
    """A mosaic of windows of `image`, uint8 [4 h, 4 w, 3]."""
    mosaic = Mosaic((image.shape[0] // SCALE, image.shape[1] // SCALE), (height, width), TILE)
    for tiles in mosaic.batches(batch_size):
        assert len(tiles) <= batch_size
        for tile in tiles:
            mosaic.add_tile(tile, image[tile.vertical.pixels, tile.horizontal.pixels])
    return mosaic.image


@pytest.mark.parametrize("size", [(8, 8), (TILE, 16), (136, 300), (40, 500), (500, 24)])
def test_windows_of_an_image_give_that_image(size: tuple[int, int]) -> None:
    shape = (SCALE * size[0], SCALE * size[1], 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.array_equal(put_together(image, *shape[:2], batch_size=4), image)


@pytest.mark.parametrize("width", [280, TILE])
def test_what_lies_beyond_the_image_is_cut_off(width: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, SCALE * width, 3), np.uint8)
    result = put_together(image, 4, SCALE * width - 12, batch_size=3)
    assert np.array_equal(result, image[:4, :-12])


def test_pixels_are_blended_as_exactly_as_pixels_can_be() -> None:
    """Two tiles that differ: at most 1 of 255 from the blend of what the pixels were rounded of."""
    random = np.random.default_rng(2)
    mosaic = Mosaic((8, 200), (32, 800), TILE)
    expected = np.zeros((32, 800, 3))
    for tile in (tile for tiles in mosaic.batches(9) for tile in tiles):
        image = random.uniform(0, 255, (32, SCALE * tile.horizontal.length, 3))
        expected[:, tile.horizontal.pixels] += tile.horizontal.weights[:, None] * image
        mosaic.add_tile(tile, image.round().astype(np.uint8))
    assert np.abs(mosaic.image - expected).max() <= 1
