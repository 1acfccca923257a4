from itertools import pairwise

import numpy as np
import pytest
from tiles import OVERLAP, SCALE, TILE, Blend, tiles


@pytest.mark.parametrize("size", [(8, 8), (TILE, TILE), (TILE, 8)])
def test_what_fits_is_one_tile_and_comes_out_as_it_went_in(size: tuple[int, int]) -> None:
    windows = tiles(*size)
    assert len(windows) == 1
    image = np.random.default_rng(0).normal(size=(3, SCALE * size[0], SCALE * size[1]))
    blend = Blend(*size)
    blend.add(windows[0], image.astype(np.float32))
    assert np.array_equal(blend.image(), image.astype(np.float32))


@pytest.mark.parametrize("size", [(256, 256), (136, 128), (TILE + 1, 300), (40, 500)])
def test_tiles_cover_all_with_one_shape_and_overlap(size: tuple[int, int]) -> None:
    windows = tiles(*size)
    covered = np.zeros(size, int)
    for tile in windows:
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert covered.min() >= 1
    assert len({(tile.height, tile.width) for tile in windows}) == 1
    for axis, start in ((0, "top"), (1, "left")):
        starts = sorted({getattr(tile, start) for tile in windows})
        assert all(b - a <= TILE - OVERLAP for a, b in pairwise(starts))
        assert starts[-1] == size[axis] - min(size[axis], TILE)


def test_blending_equal_tiles_changes_nothing_and_a_step_becomes_a_ramp() -> None:
    blend, ramp = Blend(64, 256), Blend(64, 256)
    windows = tiles(64, 256)
    for index, tile in enumerate(windows):
        shape = (3, SCALE * tile.height, SCALE * tile.width)
        blend.add(tile, np.full(shape, 0.25, np.float32))
        ramp.add(tile, np.full(shape, index, np.float32))
    assert np.allclose(blend.image(), 0.25)
    row = ramp.image()[0, 0]
    assert row[0] == 0
    assert row[-1] == len(windows) - 1
    assert np.abs(np.diff(row)).max() < 0.02
