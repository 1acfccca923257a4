import threading

import numpy as np
import pytest

from gateway.errors import InvalidRequest
from gateway.images.write import KINDS, OutputFormat, check_size, write_image
from tests.photographs import photograph, pixels_of


@pytest.mark.parametrize("size", [(65, 33), (1, 1), (2000, 3)])
def test_png_keeps_every_pixel(size: tuple[int, int]) -> None:
    image = np.asarray(photograph("rocket", *size))
    assert np.array_equal(pixels_of(write_image(image, "png")), image)


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_lossy_formats_come_close(output_format: OutputFormat) -> None:
    image = np.asarray(photograph("cat", 128, 96))
    content = write_image(image, output_format)
    assert np.abs(pixels_of(content).astype(int) - image).mean() < 4
    assert len(content) < len(write_image(image, "png")) / 2


@pytest.mark.parametrize(
    ("output_format", "beginning"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")]
)
def test_files_are_what_their_format_says(output_format: OutputFormat, beginning: bytes) -> None:
    content = write_image(np.zeros((8, 8, 3), np.uint8), output_format)
    assert content.startswith(beginning)


@pytest.mark.parametrize("output_format", list(KINDS))
def test_the_longest_side_fits_and_one_more_is_refused(output_format: OutputFormat) -> None:
    longest_side = KINDS[output_format].longest_side
    for shape in ((1, longest_side), (longest_side, 1)):
        check_size(*shape, output_format)
        assert write_image(np.zeros((*shape, 3), np.uint8), output_format)
    for shape in ((1, longest_side + 1), (longest_side + 1, 1)):
        with pytest.raises(InvalidRequest, match=f"has at most {longest_side}"):
            check_size(*shape, output_format)


def test_others_may_run_while_a_picture_is_encoded() -> None:
    image = np.zeros((2000, 2000, 3), np.uint8)
    encoding = threading.Thread(target=write_image, args=(image, "webp"))
    encoding.start()
    turns = 0
    while encoding.is_alive():
        turns += 1
    assert turns > 1000  # with the GIL held there are one or two
