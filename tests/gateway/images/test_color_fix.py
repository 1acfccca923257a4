"""The colours of the image for the result."""

import numpy as np
import pytest

from gateway.images.color_fix import low_frequencies, with_colors_of
from stages.soundness import distance
from tests.photographs import photograph

CAT = np.asarray(photograph("cat", 64, 48))
LARGE = np.asarray(photograph("cat", 256, 192))


@pytest.mark.parametrize("shift", [(40, 0, 0), (0, -40, 25), (-30, -30, -30)])
def test_a_shift_of_colour_goes_and_details_stay(shift: tuple[int, int, int]) -> None:
    shifted = (LARGE + np.array(shift)).clip(0, 255).astype(np.uint8)
    fixed = with_colors_of(CAT, shifted)
    assert distance(fixed, CAT) < distance(shifted, CAT) / 4
    details, fixed_details = (
        plane - low_frequencies(plane)
        for plane in (picture[..., 1].astype(np.float32) for picture in (shifted, fixed))
    )
    inner = slice(64, -64)
    assert np.abs(details - fixed_details)[inner, inner].mean() < 2


def test_low_frequencies_are_those_of_the_kernels_one_after_the_other() -> None:
    """Against the definition: 1 2 1 / 4 along both axes, twice as far apart at each level."""
    plane = np.random.default_rng(0).random((40, 50), np.float32)
    expected = plane.astype(float)
    for level in range(5):
        step = 2**level
        for axis in (0, 1):
            padded = np.pad(
                expected, [(step, step) if a == axis else (0, 0) for a in (0, 1)], "edge"
            )
            taken = [
                np.take(padded, np.arange(start, start + expected.shape[axis]), axis)
                for start in (0, step, 2 * step)
            ]
            expected = taken[0] / 4 + taken[1] / 2 + taken[2] / 4
    assert np.allclose(low_frequencies(plane), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (8, 8)])
def test_the_smallest_images_are_fixed_too(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    picture = np.full((4 * size[0], 4 * size[1], 3), 90, np.uint8)
    assert np.array_equal(with_colors_of(image, picture), np.full_like(picture, 200))
