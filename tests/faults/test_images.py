"""Files that are made to break a decoder: each is a picture or a sentence, in little memory."""

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from gateway.errors import InvalidImage
from gateway.images.read import read_image
from gateway.images.write import OutputFormat, write_image
from tests.faults.hostile_images import HOSTILE, png_chunk
from tests.faults.image_files import FILES, PHOTO, PIXELS
from tests.faults.memory import MIB, bounded
from tests.photographs import file_of, pixels_of
from tests.server import Server

MAX_PIXELS = 2**20
SECRET = b"51.5007N 0.1246W"  # where the photograph was taken


def outcome(content: bytes) -> NDArray[np.uint8] | str:
    """Pixels or the sentence; any other exception is a fault."""
    try:
        pixels = read_image(content, MAX_PIXELS)
    except InvalidImage as error:
        return str(error)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)
    assert pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    return pixels


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_made_to_cost_much_costs_little(name: str) -> None:
    make, expected = HOSTILE[name]
    content = make()
    with bounded(100 * MIB):
        answer = outcome(content)
    if expected is None:
        assert not isinstance(answer, str)
    else:
        assert expected in str(answer)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FILES)
def test_cut_at_every_percent(name: str) -> None:
    """Never the part that is there with grey for the rest."""
    content = FILES[name]
    whole = read_image(content, MAX_PIXELS)
    for percent in range(100):
        answer = outcome(content[: len(content) * percent // 100])
        assert isinstance(answer, str) or np.array_equal(answer, whole)


def damaged(content: bytes, seed: int) -> bytes:
    """One to eight of its bits turned; half of the time among the first 200 bytes."""
    random = np.random.default_rng(seed)
    copy = bytearray(content)
    end = min(200, len(copy)) if seed % 2 else len(copy)
    for place in random.integers(0, end, random.integers(1, 9)):
        copy[place] ^= 1 << random.integers(8)
    return bytes(copy)


def turn_bits(name: str, times: int) -> None:
    with bounded(200 * MIB):
        for seed in range(times):
            outcome(damaged(FILES[name], seed))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FILES)
def test_turned_bits(name: str) -> None:
    turn_bits(name, 200)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FILES)
def test_turned_bits_again_and_again(name: str) -> None:
    turn_bits(name, 20_000)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("secret", SECRET)
    return buffer.getvalue()


SCRIPT = b"<script>alert(1)</script>" + SECRET
POLYGLOTS: dict[str, Callable[[bytes], bytes]] = {
    "and a ZIP archive": lambda content: content + archive(),
    "and a page": lambda content: content + SCRIPT,
    "and another picture": lambda content: content + FILES["GIF"],
}


@pytest.mark.parametrize("kind", POLYGLOTS)
@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("WEBP")])
def test_a_file_that_is_also_another_is_its_picture(name: str, kind: str) -> None:
    answer = outcome(POLYGLOTS[kind](FILES[name]))
    assert np.array_equal(answer, read_image(FILES[name], MAX_PIXELS))


def test_what_begins_as_another_is_none() -> None:
    for before in (b"%PDF-1.7\n", b"GIF89a/*", b"<svg>", b"#!/bin/sh\n", b"PK\3\4"):
        assert isinstance(outcome(before + FILES["JPEG"]), str)
    for kind in ("PPM", "TGA", "ICO", "PCX", "SGI", "DDS", "JPEG2000", "EPS", "PDF"):
        with contextlib.suppress(KeyError, OSError):  # that this Pillow cannot write
            assert "send a JPEG" in str(outcome(file_of(PHOTO, kind)))


def exif(orientation: int, **tags: bytes) -> Image.Exif:
    metadata = Image.Exif()
    metadata[0x0112] = orientation
    metadata[0x010E] = SECRET.decode()
    metadata.get_ifd(0x8825)[2] = (51.0, 30.0, 2.5)
    return metadata


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- ' + SECRET + b" --></x:xmpmeta>"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TEXTS = PngInfo()
TEXTS.add_text("Comment", SECRET.decode())
TEXTS.add_itxt("XML:com.adobe.xmp", XMP.decode())
DESCRIBED: dict[str, bytes] = {
    "PNG": file_of(PHOTO, pnginfo=TEXTS, exif=exif(1), icc_profile=SRGB),
    "JPEG": file_of(PHOTO, "JPEG", exif=exif(1), xmp=XMP, icc_profile=SRGB, comment=SECRET),
    "WEBP": file_of(PHOTO, "WEBP", exif=exif(1).tobytes(), xmp=XMP, icc_profile=SRGB),
    "AVIF": file_of(PHOTO, "AVIF", exif=exif(1), xmp=XMP, icc_profile=SRGB),
    "GIF": file_of(PHOTO, "GIF", comment=SECRET),
    "TIFF": file_of(PHOTO, "TIFF", description=SECRET.decode(), icc_profile=SRGB),
}


METADATA = {"comment", "Comment", "exif", "icc_profile", "xmp", "XML:com.adobe.xmp"}


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("name", DESCRIBED)
def test_nothing_of_a_file_but_its_pixels_goes_on(name: str, output_format: OutputFormat) -> None:
    content = DESCRIBED[name]
    assert SECRET in content
    result = write_image(read_image(content, MAX_PIXELS), output_format)
    assert SECRET not in result
    image = Image.open(io.BytesIO(result))
    image.load()
    assert not image.getexif()
    assert image.info.keys().isdisjoint(METADATA)


def hostile_metadata() -> Iterator[tuple[str, bytes]]:
    """Metadata that is broken, in files whose pixels are not."""
    good = exif(1).tobytes()
    loop = (
        good[:6] + b"II*\0\x08\0\0\0\x01\0" + b"\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" + b"\x08\0\0\0"
    )
    random = np.random.default_rng(0)
    for name, data in {
        "a loop": loop,
        "random": b"Exif\0\0" + random.bytes(2000),
        "": b"Exif\0\0",
    }.items():
        yield f"EXIF, {name}", file_of(PHOTO, exif=data)
        yield f"EXIF in a JPEG, {name}", file_of(PHOTO, "JPEG", exif=data)
    for place in range(0, len(SRGB), 16):
        broken = SRGB[:place] + b"\xff" * 8 + SRGB[place + 8 :]
        yield f"profile, byte {place}", file_of(PHOTO, icc_profile=broken)
    deep = b"<a>" * 20_000
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x:xmpmeta tiff:Orientation="' + b"9" * 9 + b'"/>'
    )
    for name, data in {"deep": deep, "entities": bomb, "not UTF-8": b"\xff" * 1000}.items():
        text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + data)
        content = FILES["PNG"]
        yield f"XMP, {name}", content[:33] + text + content[33:]
        yield f"XMP in a JPEG, {name}", file_of(PHOTO, "JPEG", xmp=data[:60_000])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_metadata_does_not_break_the_picture() -> None:
    for name, content in hostile_metadata():
        answer = outcome(content)
        assert not isinstance(answer, str), f"{name}: {answer}"
        assert answer.shape == PIXELS.shape


def test_the_server_refuses_or_serves_them_and_goes_on(server: Server) -> None:
    """Through HTTP: what one class of file gets, and that nothing of it is left behind."""
    names = ("PNG of 60000 x 60000", "JPEG of 800000 scans", "TIFF in a tile of 8192 x 8192",
             "JPEG of empty segments", "endless GIF")  # fmt: skip
    with bounded(200 * MIB, server.process.pid):
        for name in names:
            make, expected = HOSTILE[name]
            response = server.post(make(), num_inference_steps=1)
            assert response.status_code == (200 if expected is None else 400)
            assert (expected or "images") in response.text
    for content in DESCRIBED.values():
        result = server.upscale(content, num_inference_steps=1)
        assert SECRET not in result
        assert pixels_of(result).shape == (4 * 32, 4 * 48, 3)
