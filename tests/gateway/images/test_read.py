"""Uploads of every kind that cameras, editors and attackers make."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from gateway.errors import InvalidImage
from gateway.images.read import read_image
from tests.photographs import file_of, photograph

LIMIT = 1_000_000
PHOTO = photograph("astronaut", 24, 16)


def read(content: bytes) -> Any:
    return read_image(content, LIMIT).astype(int)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_files_come_back(kind: str) -> None:
    assert np.array_equal(read(file_of(PHOTO, kind)), np.asarray(PHOTO))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_come_close(kind: str) -> None:
    photo = photograph("cat", 64, 64)
    assert np.abs(read(file_of(photo, kind, quality=95)) - np.asarray(photo)).mean() < 4


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    content = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read(content) == (255, 0, 0)).all()


def test_a_jpeg_of_several_pictures_is_read() -> None:
    second = photograph("cat", 24, 16)
    content = file_of(PHOTO, "MPO", save_all=True, append_images=[second])
    assert np.array_equal(read(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = PHOTO if undo is None else PHOTO.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read(file_of(stored, exif=exif)), np.asarray(PHOTO))


def test_grey_and_palette_and_bitmap() -> None:
    grey = PHOTO.convert("L")
    assert np.array_equal(read(file_of(grey))[..., 1], np.asarray(grey))
    palette = PHOTO.convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(read(file_of(palette)), np.asarray(palette.convert("RGB")))
    assert set(np.unique(read(file_of(PHOTO.convert("1"))))) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert read(file_of(Image.fromarray(values), kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk() -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(read(file_of(cmyk, "TIFF")) - (255, 0, 0)).max() <= 1
    assert np.abs(read(file_of(cmyk, "JPEG", quality=100)) - (255, 0, 0)).max() <= 3


def test_transparency_is_composited_on_white() -> None:
    rgba = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    assert np.abs(read(file_of(rgba)) - (255, 127, 127)).max() <= 1
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (read(file_of(clear)) == 255).all()
    grey_alpha = Image.new("LA", (8, 8), (0, 0))
    assert (read(file_of(grey_alpha)) == 255).all()
    keyed = Image.new("P", (8, 8), 0)
    keyed.putpalette([0, 0, 0, 9, 9, 9])
    assert (read(file_of(keyed, transparency=0)) == 255).all()
    assert (read(file_of(Image.new("RGB", (8, 8)), transparency=(0, 0, 0))) == 255).all()


def test_colour_profiles_are_converted() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(read(file_of(PHOTO, icc_profile=srgb)) - np.asarray(PHOTO)).max() <= 1
    # The tags of the red and blue primaries exchanged: a profile in which red means blue.
    swapped = srgb.replace(b"rXYZ", b"xxxx").replace(b"bXYZ", b"rXYZ").replace(b"xxxx", b"bXYZ")
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert np.abs(read(file_of(red, icc_profile=swapped)) - (0, 0, 255)).max() <= 3
    broken = file_of(PHOTO, icc_profile=b"no profile")
    assert np.array_equal(read(broken), np.asarray(PHOTO))


def test_size_is_checked_before_decoding() -> None:
    content = file_of(Image.new("L", (2000, 1000)))[:100]  # cut short: decoding would fail
    with pytest.raises(
        InvalidImage, match="2000 x 1000 pixels, which counts as 2000000; at most 1000000"
    ):
        read(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_cut_anywhere_is_refused_or_whole(kind: str) -> None:
    """A file cut short is never filled up with grey."""
    content = file_of(PHOTO, kind)
    whole = read(content)
    for length in range(0, len(content), max(1, len(content) // 40)):
        try:
            decoded = read(content[:length])
        except InvalidImage:
            continue
        assert np.array_equal(decoded, whole)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_channels_are_refused(mode: str) -> None:
    with pytest.raises(InvalidImage, match="32 bits per channel"):
        read(file_of(Image.new(mode, (8, 8)), "TIFF"))
