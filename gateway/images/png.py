"""PNG, and the first frame of an animated one.

https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from gateway.errors import InvalidImage
from gateway.images import vips
from gateway.images.cicp import cicp_space
from gateway.images.colour import SRGB, Description, Profile, gamma_space
from gateway.images.cost import DAMAGED, MAX_PARTS, MAX_PROFILE_BYTES, TINY_PARTS
from gateway.images.exif import read_exif
from gateway.images.picture import Bound, Picture, split

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = (0, 4)  # colour types
# Before the pixels, and not twice.
DESCRIBING = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"PLTE", b"tRNS")


@dataclass
class File:
    """What of a file counts. described: chunks of one each. frames: (fcTL, pixels) after the first."""

    header: bytes
    described: dict[bytes, bytes] = field(default_factory=dict)
    pixels: list[bytes] = field(default_factory=list)
    animated: bool = False
    control: bytes | None = None  # of the first frame that is not `pixels`
    frame: list[bytes] = field(default_factory=list)


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    width, height = struct.unpack_from(">II", content, len(SIGNATURE) + 8)
    bound(width, height)
    file = _read(content)
    orientation, colours = read_exif(file.described.get(b"eXIf", b""))
    descriptions = _descriptions(file.described, 1 if file.header[9] in GREY else 3) + colours
    if file.frame and file.control is not None:
        colour, alpha = _first_frame(file, width, height)
    else:
        colour, alpha = _samples(file, file.header, file.pixels)
    return Picture(colour, alpha, descriptions, orientation)


def _read(content: bytes) -> File:
    """Nothing but what changes the picture: a decoder sees no texts, times and thumbnails."""
    place, file, count, controls = len(SIGNATURE), None, 0, 0
    while place < len(content):
        if (count := count + 1) > MAX_PARTS:
            raise InvalidImage(TINY_PARTS)
        length, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, place + 8 + length)
        place += 12 + length
        right = zlib.crc32(data, zlib.crc32(kind)) == checksum
        if file is None:
            if kind != b"IHDR" or length != 13 or not right:
                raise InvalidImage(DAMAGED)
            file = File(data)
        elif kind == b"IDAT":
            if not right:
                raise InvalidImage(DAMAGED)
            file.pixels.append(data)
        elif kind == b"IEND":
            break
        elif not right:
            continue  # of what only describes the picture, left aside
        elif kind in DESCRIBING and not file.pixels:
            file.described.setdefault(kind, data)
        elif kind == b"acTL" and not file.pixels:
            file.animated = True
        elif kind == b"fcTL" and file.animated:
            controls += 1
            if controls == 1 and file.pixels:
                file.control = data
        elif kind == b"fdAT" and controls == 1 and file.control is not None:
            file.frame.append(data[4:])
    if file is None:
        raise InvalidImage(DAMAGED)
    return file


def _samples(
    file: File, header: bytes, pixels: list[bytes]
) -> tuple[np.ndarray, np.ndarray | None]:
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


def _first_frame(file: File, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
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
