import numpy as np
import pytest
from mosaic import SCALE, Mosaic
from numpy.typing import NDArray
from pixels import to_uint8
from tiles import TILE


def put_together(
    image: NDArray[np.float32], height: int, width: int, batch_size: int
) -> NDArray[np.uint8]:
    """A mosaic of windows of `image`, float32 [3, 4 h, 4 w]."""
    mosaic = Mosaic((image.shape[1] // SCALE, image.shape[2] // SCALE), (height, width))
    for tiles in mosaic.batches(batch_size):
        assert len(tiles) <= batch_size
        for tile in tiles:
            mosaic.add(tile, image[:, tile[0].pixels, tile[1].pixels].copy())
    return mosaic.image


@pytest.mark.parametrize("size", [(8, 8), (TILE, 16), (136, 300), (40, 500), (500, 24)])
def test_windows_of_an_image_give_that_image(size: tuple[int, int]) -> None:
    shape = (3, SCALE * size[0], SCALE * size[1])
    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    result = put_together(image, *shape[1:], batch_size=4).astype(int)
    assert np.abs(result - to_uint8(image)).max() <= (0 if max(size) <= TILE else 1)


def test_what_lies_beyond_the_image_is_cut_off() -> None:
    image = np.random.default_rng(1).uniform(-1, 1, (3, 32, 1120)).astype(np.float32)
    result = put_together(image, 4, 1108, batch_size=3)
    assert result.shape == (4, 1108, 3)
    assert np.abs(result.astype(int) - to_uint8(image)[:4, :1108]).max() <= 1
