"""Transparency beside the model: what is hidden never shows."""

import numpy as np
import pytest

from gateway.images.alpha import enlarged, matte
from tests.photographs import photograph

COLOUR = np.asarray(photograph("cat", 40, 30))
NOISE = np.random.default_rng(0).integers(0, 256, COLOUR.shape, np.uint8)


def test_what_is_seen_is_left_as_it_is() -> None:
    alpha = np.full(COLOUR.shape[:2], 16, np.uint8)
    assert np.array_equal(matte(COLOUR, alpha), COLOUR)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (30, 40), (33, 65)])
def test_what_is_hidden_changes_nothing(size: tuple[int, int]) -> None:
    colour = np.resize(COLOUR, (*size, 3))
    alpha = np.zeros(size, np.uint8)
    alpha[: (size[0] + 1) // 2, : (size[1] + 1) // 2] = 255
    hidden = np.where(alpha[..., None] > 0, colour, np.resize(NOISE, (*size, 3))).astype(np.uint8)
    assert np.array_equal(matte(hidden, alpha), matte(colour, alpha))
    assert np.array_equal(matte(hidden, alpha)[alpha > 0], colour[alpha > 0])


def test_the_edge_has_the_colours_that_are_seen_beside_it() -> None:
    colour = np.zeros((32, 32, 3), np.uint8)
    colour[:, :16] = (200, 40, 90)
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, :16] = 255
    assert (matte(colour, alpha) == (200, 40, 90)).all()
    alpha[:] = 0
    assert matte(colour, alpha).shape == colour.shape  # a picture that is nowhere seen


def test_alpha_is_made_larger_within_its_range() -> None:
    alpha = np.zeros((8, 12), np.uint8)
    alpha[2:6, 2:10] = 255
    large = enlarged(alpha, 32, 48)
    assert large.shape == (32, 48)
    assert (large[12:20, 12:36] == 255).all()
    assert (large[:4] < 20).all()
