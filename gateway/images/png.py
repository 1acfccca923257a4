"""PNG, and the first frame of an animated one.

https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images import vips
from gateway.images.cicp import cicp_space
from gateway.images.colour import SRGB, Description, Profile, gamma_space
from gateway.images.cost import DAMAGED, MAX_PARTS, MAX_PROFILE_BYTES, TINY_PARTS, Bound
from gateway.images.exif import read_exif
from gateway.images.picture import Picture, split

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 13
GREY = (0, 4)  # colour types
# Before the pixels, and not twice.
DESCRIBING = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"PLTE", b"tRNS")


@dataclass
class File:
    """What of a file counts, as the data of its chunks.

    control and frame: place and pixels of the first frame, where `pixels` are no frame.
    """

    header: bytes
    described: dict[bytes, bytes] = field(default_factory=dict)
    pixels: list[bytes] = field(default_factory=list)
    animated: bool = False
    controls: int = 0
    control: bytes | None = None
    frame: list[bytes] = field(default_factory=list)

    def take(self, kind: bytes, data: bytes) -> None:
        """A chunk that is whole."""
        if kind == b"IDAT":
            self.pixels.append(data)
        elif kind in DESCRIBING and not self.pixels:
            self.described.setdefault(kind, data)
        elif kind == b"acTL" and not self.pixels:
            self.animated = True
        elif kind == b"fcTL" and self.animated:
            self.controls += 1
            if self.controls == 1 and self.pixels:
                self.control = data
        elif kind == b"fdAT" and self.controls == 1 and self.control is not None:
            self.frame.append(data[4:])


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    width, height = struct.unpack_from(">II", content, len(SIGNATURE) + 8)
    bound(width, height)
    file = _read(content)
    orientation, colours = read_exif(file.described.get(b"eXIf", b""))
    descriptions = _descriptions(file.described, 1 if file.header[9] in GREY else 3) + colours
    if file.frame and file.control is not None:
        return Picture(*_first_frame(file, width, height), descriptions, orientation)
    return Picture(*_samples(file, file.header, file.pixels), descriptions, orientation)


def _read(content: bytes) -> File:
    """Nothing but what changes the picture: a decoder sees no texts, times and thumbnails."""
    file = None
    for kind, data, whole in _chunks(content):
        if file is None:
            if kind != b"IHDR" or len(data) != HEADER_BYTES or not whole:
                break
            file = File(data)
        elif whole:
            file.take(kind, data)
        elif kind in (b"IDAT", b"PLTE", b"fdAT"):
            raise InvalidImage(DAMAGED)  # while what only describes the picture is left aside
    if file is None:
        raise InvalidImage(DAMAGED)
    return file


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, data and whether its checksum is right, up to the end. Raises struct.error past it."""
    place = len(SIGNATURE)
    for _ in range(MAX_PARTS):
        if place >= len(content):
            return
        length, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, place + 8 + length)
        if kind == b"IEND":
            return
        yield kind, data, zlib.crc32(data, zlib.crc32(kind)) == checksum
        place += 12 + length
    raise InvalidImage(TINY_PARTS)


def _samples(
    file: File, header: bytes, pixels: list[bytes]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    chunks = [(b"IHDR", header)]
    chunks += [
        (kind, file.described[kind]) for kind in (b"PLTE", b"tRNS") if kind in file.described
    ]
    chunks += [(b"IDAT", b"".join(pixels)), (b"IEND", b"")]
    plain = b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        for kind, data in chunks
    )
    samples = vips.load("png", SIGNATURE + plain)
    channels = samples.shape[2]
    colours = 1 if channels <= 2 else 3
    return split(samples, colours, colours if channels > colours else None)


def _first_frame(file: File, width: int, height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of an animation to which the picture for other viewers does not belong, on its canvas."""
    assert file.control is not None
    wide, high, left, top = struct.unpack_from(">4I", file.control, 4)
    if left + wide > width or top + high > height:
        raise InvalidImage(DAMAGED)
    header = struct.pack(">II", wide, high) + file.header[8:]
    colour, alpha = _samples(file, header, file.frame)
    canvas = np.zeros((height, width, colour.shape[2]), colour.dtype)
    clear = np.zeros((height, width), colour.dtype)
    inside = np.s_[top : top + high, left : left + wide]
    canvas[inside] = colour
    clear[inside] = np.iinfo(colour.dtype).max if alpha is None else alpha
    return canvas, clear


def _descriptions(chunks: dict[bytes, bytes], channels: int) -> list[Description]:
    """In the order of the standard; one that is broken is left aside, as browsers do."""
    descriptions: list[Description] = []
    if len(code := chunks.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, full = code
        if matrix or not full:
            raise InvalidImage("The PNG's cICP is not full-range RGB; save it anew.")
        if space := cicp_space(primaries, transfer, video=False):
            descriptions.append(space)
    if b"iCCP" in chunks:
        packed = chunks[b"iCCP"].partition(b"\0")[2][1:]
        try:
            icc = zlib.decompressobj().decompress(packed, MAX_PROFILE_BYTES)
        except zlib.error:
            icc = b""
        descriptions.append(Profile(icc))
    if b"sRGB" in chunks:
        descriptions.append(SRGB)
    known = any(description.fits(channels) for description in descriptions)
    if not known and (gamma := int.from_bytes(chunks.get(b"gAMA", b""), "big")):
        numbers = chunks.get(b"cHRM", b"")
        chromaticities = None
        if len(numbers) == 32:
            chromaticities = tuple(n / 100_000 for n in struct.unpack(">8I", numbers))
        descriptions.append(gamma_space(gamma / 100_000, chromaticities))
    return descriptions
