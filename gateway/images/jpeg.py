"""JPEG of 8 bits: grey, YCbCr or RGB, and CMYK as Adobe's programs write it.

https://www.w3.org/Graphics/JPEG/itu-t81.pdf
"""

import re
import struct
from dataclasses import dataclass, field

from gateway.errors import InvalidImage
from gateway.images import pillow
from gateway.images.colour import Description, Profile
from gateway.images.cost import MAX_PARTS, MAX_PROFILE_BYTES, MAX_SCANS, TINY_PARTS, Bound
from gateway.images.exif import read_exif
from gateway.images.picture import Picture

START_OF_SCAN = b"\xff\xda"
MARKER = re.compile(rb"\xff+([^\x00\xff])")
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
SCAN, APP0, APP1, APP2, ADOBE, COMMENT = 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
APPLICATION = range(0xE0, 0xF0)
READABLE = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # Huffman and arithmetic, sequential and progressive
OTHERS = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
ICC = b"ICC_PROFILE\0"


@dataclass
class Segments:
    """kept: the file without what only describes it. profile: number of a part -> part."""

    kept: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    profile: dict[int, bytes] = field(default_factory=dict)


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    # In every scan a decoder goes over the whole picture, and twelve bytes make one.
    if content.count(START_OF_SCAN) > MAX_SCANS:
        raise InvalidImage(f"The image has more than {MAX_SCANS} scans; save it as another JPEG.")
    segments = _read(content)
    image = pillow.open_image(b"".join(segments.kept), "JPEG")
    bound(*image.size)
    colour, alpha = pillow.samples_of(image)
    orientation, colours = read_exif(segments.exif)
    parts = [segments.profile[number] for number in sorted(segments.profile)]
    icc = b"".join(parts)[:MAX_PROFILE_BYTES]
    descriptions: list[Description] = [Profile(icc)] if icc else []
    return Picture(colour, alpha, descriptions + colours, orientation)


def _read(content: bytes) -> Segments:
    """The segments before the first scan. Decoders see no metadata."""
    place, segments = 2, Segments([content[:2]])
    for _ in range(MAX_PARTS):
        marker = MARKER.search(content, place)
        if marker is None:
            break
        code, place = marker[1][0], marker.end()
        if code in ALONE:
            continue
        if code == SCAN:
            segments.kept.append(content[place - 2 :])
            return segments
        (length,) = struct.unpack_from(">H", content, place)
        data, place = content[place + 2 : place + length], place + length
        _check_frame(code, data)
        if code == APP1 and data.startswith(b"Exif\0\0"):
            segments.exif = segments.exif or data
        elif code == APP2 and data.startswith(ICC):
            segments.profile.setdefault(data[len(ICC)], data[len(ICC) + 2 :])
        if code != COMMENT and (code not in APPLICATION or code in (APP0, ADOBE)):
            segments.kept.append(bytes([0xFF, code]) + struct.pack(">H", length) + data)
    else:
        raise InvalidImage(TINY_PARTS)
    return segments


def _check_frame(code: int, data: bytes) -> None:
    if code in OTHERS:
        raise InvalidImage("The image is a lossless or hierarchical JPEG; save it as a usual one.")
    if code in READABLE and data and data[0] != 8:
        raise InvalidImage(
            f"The JPEG has {data[0]} bits per channel; save it with 8, or as PNG or TIFF."
        )
