"""What is no picture is told from what only looks odd."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.errors import BrokenPicture
from stages.limits import SCALE
from stages.soundness import check_latents, check_picture, check_tile, distance
from tests.photographs import photograph

CAT = np.asarray(photograph("cat", 24, 40))
GREY = np.full_like(CAT, 127)


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def noise(seed: int) -> NDArray[np.uint8]:
    shape = (SCALE * CAT.shape[0], SCALE * CAT.shape[1], 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 77, -1])
def test_one_number_that_is_not_finite_is_enough(value: float, place: int) -> None:
    latents = np.random.default_rng(0).standard_normal((4, 8, 16), np.float32)
    check_latents(latents * 1e30)
    latents.flat[place] = value
    with pytest.raises(BrokenPicture, match="no finite numbers"):
        check_latents(latents)


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_one_colour_of_an_image_that_has_others_is_broken(level: int) -> None:
    picture = np.full_like(enlarged(CAT), level)
    with pytest.raises(BrokenPicture, match="one colour"):
        check_tile(picture, CAT)
    picture[5, 7] ^= 1  # as rounding leaves it
    with pytest.raises(BrokenPicture, match="one colour"):
        check_tile(picture, CAT)
    picture[-1, -1, 2] ^= 128
    check_tile(picture, CAT)


@pytest.mark.parametrize("level", [0, 40, 180, 255])
def test_one_colour_of_one_colour_is_sound_unless_it_is_another(level: int) -> None:
    picture = np.full_like(enlarged(GREY), level)
    if abs(level - 127) > 64:
        with pytest.raises(BrokenPicture, match="one colour"):
            check_tile(picture, GREY)
    else:
        check_tile(picture, GREY)


@pytest.mark.parametrize("image", [CAT, GREY, np.zeros_like(CAT), np.full_like(CAT, 255)])
def test_what_random_weights_make_is_a_picture(image: NDArray[np.uint8]) -> None:
    """Noise is far from every image; only a model's own pipeline can say that it should not be."""
    check_tile(noise(0), image)
    check_picture(noise(0), image)


def test_a_negative_of_black_and_white_is_none() -> None:
    white = np.full_like(CAT, 255)
    with pytest.raises(BrokenPicture, match="of 255 levels"):
        check_picture(noise(0) & np.uint8(15), white)
    check_picture(~enlarged(CAT), CAT)


@pytest.mark.parametrize("size", [(1, 1), (24, 40), (300, 3), (257, 1030)])
def test_the_distance_is_the_mean_over_the_smaller_picture(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 200, (*size, 3), np.uint8)
    assert distance(enlarged(image), image) == 0
    assert distance(enlarged(image + np.uint8(55)), image) == 55
    detail = enlarged(image)
    detail[::2] += 5
    detail[1::2] -= np.minimum(detail[1::2], 5)
    assert distance(detail, image) < 1
