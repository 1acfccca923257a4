"""How a result leaves: with its transparency or on a colour, in the size that is asked for."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gateway.images.output import Output, seen
from gateway.images.read import Upright
from gateway.images.write import OutputFormat
from tests.photographs import photograph

COLOUR = np.asarray(photograph("cat", 12, 8))
ALPHA = np.zeros((8, 12), np.uint8)
ALPHA[:, :6] = 255
PICTURE = np.asarray(photograph("cat", 48, 32))
KINDS: tuple[OutputFormat, ...] = ("png", "webp", "jpeg")


def opened(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_alpha_is_kept_apart_unless_there_is_nothing_to_keep_it_in_or_for() -> None:
    picture = Upright(COLOUR, ALPHA)
    for kind in ("png", "webp"):
        image, alpha = seen(picture, kind, None)
        assert alpha is ALPHA
        assert np.array_equal(image[:, :6], COLOUR[:, :6])
    for image, alpha in (seen(picture, "jpeg", None), seen(picture, "png", (255, 255, 255))):
        assert alpha is None
        assert (image[:, 6:] == 255).all()
    image, _ = seen(picture, "jpeg", (1, 2, 3))
    assert (image[:, 6:] == (1, 2, 3)).all()
    opaque = Upright(COLOUR, np.full_like(ALPHA, 255))
    image, alpha = seen(opaque, "png", (1, 2, 3))
    assert alpha is None
    assert np.array_equal(image, COLOUR)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "height"), [(48, 32), (24, 16), (31, 21), (1, 1)])
def test_sizes(kind: OutputFormat, width: int, height: int) -> None:
    alpha = None if kind == "jpeg" else ALPHA
    made = opened(Output(kind, width, height, alpha).file_of(PICTURE))
    assert made.shape == (height, width, 3 if alpha is None else 4)
    if alpha is not None and width > 1:
        assert (made[:, : width // 4, 3] == 255).all()
        assert (made[:, -width // 4 :, 3] == 0).all()


def test_a_smaller_result_is_a_good_average() -> None:
    stripes = np.zeros((32, 48, 3), np.uint8)
    stripes[:, ::2] = 255  # a filter that leaves pixels out shows black or white
    made = opened(Output("png", 24, 16).file_of(stripes))
    assert (np.abs(made.astype(int) - 128) < 40).all()


def test_hidden_colours_do_not_bleed_into_a_smaller_result() -> None:
    picture = np.full((32, 48, 3), 200, np.uint8)
    picture[:, 24:] = 0
    made = opened(Output("png", 24, 16, ALPHA).file_of(picture))
    seen_well = made[..., 3] > 128
    assert (np.abs(made[seen_well][:, :3].astype(int) - 200) < 30).all()
