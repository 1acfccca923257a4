"""Uploads of every kind that cameras, editors and attackers make."""

import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from gateway.errors import InvalidImage
from gateway.images.read import read_image, read_picture
from tests.faults.hostile_images import png_chunk
from tests.gateway.images import files
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


def test_alpha_is_at_hand_beside_colours_that_were_not_composited() -> None:
    image = Image.new("RGBA", (8, 8), (200, 60, 40, 128))
    picture = read_picture(file_of(image), LIMIT)
    assert (picture.colour == (200, 60, 40)).all()
    assert picture.alpha is not None
    assert (picture.alpha == 128).all()
    assert read_picture(file_of(PHOTO), LIMIT).alpha is None


GREEN = np.full((2, 3, 3), (0, 255, 0))
RED = np.full((4, 6, 3), (255, 0, 0))
SIGNATURE = 8  # bytes; IHDR takes 25


def animated(first: Any, left: int, top: int, default_is_first: bool) -> bytes:
    """An animated PNG of 6 x 4 pixels: red for other viewers, then green."""
    content = files.png(RED, 8, 2)
    header, pixels = content[: SIGNATURE + 25], content[SIGNATURE + 25 : -12]
    height, width = first.shape[:2]
    own = struct.pack(">IIIIIHHBB", 0, 6, 4, 0, 0, 1, 10, 0, 0)
    place = struct.pack(">IIIIIHHBB", default_is_first, width, height, left, top, 1, 10, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + files.packed(row, 8) for row in first))
    body = png_chunk(b"acTL", struct.pack(">II", 1 + default_is_first, 0))
    body += png_chunk(b"fcTL", own) if default_is_first else b""
    body += pixels + png_chunk(b"fcTL", place)
    body += png_chunk(b"fdAT", struct.pack(">I", 1 + default_is_first) + rows)
    return header + body + content[-12:]


def test_the_first_frame_of_an_animated_png_lies_on_its_canvas() -> None:
    pixels = read(animated(GREEN, 2, 1, default_is_first=False))
    expected = np.full((4, 6, 3), 255)
    expected[1:3, 2:5] = (0, 255, 0)
    assert np.array_equal(pixels, expected)
    assert np.array_equal(read(animated(GREEN, 2, 1, default_is_first=True)), RED)
    with pytest.raises(InvalidImage, match="damaged"):
        read(animated(GREEN, 4, 1, default_is_first=False))


def test_the_page_of_a_tiff_that_is_no_thumbnail_is_taken() -> None:
    """Pages: a smaller picture of it, the picture, another."""
    small, large = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (16, 16), "lime")
    content = file_of(small, "TIFF", save_all=True, append_images=[large], tiffinfo={254: 1})
    assert read(content).shape == (8, 8, 3)  # where all are thumbnails, the first
    first, second = content.index(b"\xfe\0\x04\0"), content.rindex(b"\xfe\0\x04\0")
    assert first != second
    content = content[: second + 8] + bytes(4) + content[second + 12 :]
    assert np.array_equal(read(content), np.asarray(large))
    assert read(file_of(small, "TIFF", save_all=True, append_images=[large])).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_known_format_that_is_not_taken_is_named(beginning: bytes, name: str) -> None:
    with pytest.raises(
        InvalidImage, match=f"is a {name} file; send a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or"
    ):
        read(beginning + bytes(100))


@pytest.mark.parametrize(
    ("chunk", "sentence"),
    [
        ((b"gAMA", (1).to_bytes(4, "big")), "gAMA is 1e-05"),
        ((b"gAMA", (2**31).to_bytes(4, "big")), "gAMA is 21474.8"),
        ((b"cICP", bytes([1, 13, 0, 0])), "not full-range RGB"),
        ((b"cICP", bytes([1, 13, 1, 1])), "not full-range RGB"),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused(
    chunk: tuple[bytes, bytes], sentence: str
) -> None:
    with pytest.raises(InvalidImage, match=sentence):
        read(files.png(np.asarray(PHOTO), 8, 2, chunk))


GAMMA_OF_LIGHT = (b"gAMA", (100_000).to_bytes(4, "big"))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
        (b"iCCP", b"x\0\0" + zlib.compress(files.icc_profile(b"GRAY", 1.8))),
        (b"iCCP", b"x\0\0not packed"),
        (b"cICP", bytes([2, 13, 0, 1])),
        (b"cICP", bytes([1, 2, 0, 1])),
        (b"cICP", bytes([1, 13])),
    ],
)
def test_a_description_that_says_nothing_leaves_the_next_its_word(
    chunk: tuple[bytes, bytes],
) -> None:
    stored = np.asarray(PHOTO)
    expected = read(files.png(stored, 8, 2, GAMMA_OF_LIGHT))
    assert not np.array_equal(expected, stored)
    assert np.array_equal(read(files.png(stored, 8, 2, chunk, GAMMA_OF_LIGHT)), expected)


@pytest.mark.parametrize(("gamma", "as_stored"), [(43_290, True), (45_455, True), (47_619, True),
                                                  (43_000, False), (48_000, False)])  # fmt: skip
def test_a_gamma_near_that_of_srgb_is_srgb(gamma: int, as_stored: bool) -> None:
    """From 1 / 2.31 to 1 / 2.1, as in Chromium."""
    content = files.png(np.asarray(PHOTO), 8, 2, (b"gAMA", gamma.to_bytes(4, "big")))
    assert np.array_equal(read(content), np.asarray(PHOTO)) == as_stored


def test_a_chunk_with_a_wrong_checksum_or_after_the_pixels_says_nothing() -> None:
    stored = np.asarray(PHOTO)
    content = files.png(stored, 8, 2, GAMMA_OF_LIGHT)
    place = content.index(b"gAMA") + 8
    wrong = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    assert np.array_equal(read(wrong), stored)
    plain = files.png(stored, 8, 2)
    assert np.array_equal(read(plain[:-12] + png_chunk(*GAMMA_OF_LIGHT) + plain[-12:]), stored)


def test_a_profile_in_several_segments_of_a_jpeg_is_put_together() -> None:
    """Profiles above 64 KiB are; the segments may come in any order."""
    icc = files.icc_profile(b"RGB ", 1.8)
    plain, whole = file_of(PHOTO, "JPEG"), file_of(PHOTO, "JPEG", icc_profile=icc)
    parts = [icc[:200], icc[200:]]
    named = [b"ICC_PROFILE\0" + bytes([n + 1, 2]) + part for n, part in enumerate(parts)]
    segments = [b"\xff\xe2" + struct.pack(">H", 2 + len(data)) + data for data in named]
    content = plain[:2] + segments[1] + segments[0] + plain[2:]
    assert np.array_equal(read(content), read(whole))
    assert not np.array_equal(read(content), read(plain))


def test_bit_fields_of_bmp_that_cannot_be_read_are_named() -> None:
    masks = struct.pack("<3I", 1023 << 20, 1023 << 10, 1023)
    with pytest.raises(InvalidImage, match="Unsupported BMP bitfields layout"):
        read(files.bmp(bytes(4 * 8 * 8), (8, 8), 32, 3, masks))


def test_others_may_run_while_a_picture_is_decoded_and_converted() -> None:
    """By libvips: its calls let go of the GIL."""
    noise = np.random.default_rng(0).integers(0, 65536, (1000, 1000, 3))
    profile = b"x\0\0" + zlib.compress(files.icc_profile(b"RGB ", 1.8))
    content = files.png(noise, 16, 2, (b"iCCP", profile))
    decoding = threading.Thread(target=read, args=(content,))
    decoding.start()
    turns = 0
    while decoding.is_alive():
        turns += 1
    assert turns > 1000  # with the GIL held there are tens
