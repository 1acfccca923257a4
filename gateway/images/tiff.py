"""TIFF of every depth up to 16 bits.

https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images import opencv, vips
from gateway.images.colour import Description, Profile
from gateway.images.cost import (
    DAMAGED,
    MAX_PARTS,
    MAX_PROFILE_BYTES,
    MAX_SCANS,
    MAX_TILE_SIDE,
    Bound,
)
from gateway.images.directory import NUMBERS, ORIENTATION, Directory, first_directory
from gateway.images.exif import orientation_of, read_exif
from gateway.images.jpeg import START_OF_SCAN
from gateway.images.picture import Picture, Samples, split, unpremultiplied

SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
CHANNELS, PLANES, TILE_WIDTH, TILE_LENGTH = 277, 284, 322, 323
INK_SET, EXTRA, FORMAT, PROFILE = 332, 338, 339, 34675
PLACES = (273, 279, 324, 325)  # of strips and tiles, and how many bytes each has
COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}  # none, fax, LZW, JPEG, Deflate, PackBits
JPEG = 7
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
OTHERS = {
    4: "a mask",
    **dict.fromkeys((8, 9, 10), "CIE L*a*b*"),
    **dict.fromkeys((32803, 34892), "a raw photograph"),
    **dict.fromkeys((32844, 32845), "LogLuv"),
}
UNSIGNED, SIGNED, UNKNOWN = 1, 2, 4
PREMULTIPLIED, STRAIGHT = 1, 2
SMALLER, MASK = 1, 4  # bits of SUBFILE
ODD_BITS = (10, 12, 14)


@dataclass(frozen=True)
class Page:
    """What a directory says of its samples. alpha: the number of its channel, or None."""

    number: int
    directory: Directory
    bits: int
    photometric: int
    channels: int
    signed: bool
    alpha: int | None
    premultiplied: bool


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file or no known meaning, and what `bound` raises."""
    number, directory = _page(content)
    _check_cost(content, directory)
    bound(directory.number(WIDTH, 0), directory.number(LENGTH, 0))
    page = _meaning(number, directory)
    colour, alpha = _planes(_samples(content, page), page)
    icc = directory.data(PROFILE)[:MAX_PROFILE_BYTES]
    descriptions: list[Description] = [Profile(icc)] if icc else []
    _, colours = read_exif(content)
    return Picture(colour, alpha, descriptions + colours, orientation_of(directory))


def _page(content: bytes) -> tuple[int, Directory]:
    """The first page that is no thumbnail and no mask; else the first."""
    first = first_directory(content)
    for number, directory in enumerate(first.following()):
        if not directory.number(SUBFILE, 0) & (SMALLER | MASK):
            return number, directory
    return 0, first


def _check_cost(content: bytes, directory: Directory) -> None:
    for tag in PLACES:
        if tag in directory.entries and directory.entries[tag].count > MAX_PARTS:
            raise InvalidImage(f"The image has more than {MAX_PARTS} strips; save it anew.")
    # A tile is decoded whole, however little of it lies in the picture.
    for tag in (TILE_WIDTH, TILE_LENGTH):
        if tag in directory.entries and not 0 < directory.number(tag, 0) <= MAX_TILE_SIDE:
            raise InvalidImage("The image has very large tiles; save it without tiles.")
    parts = max(
        (directory.entries[tag].count for tag in PLACES if tag in directory.entries), default=0
    )
    scans = content.count(START_OF_SCAN) if directory.number(COMPRESSION, 1) == JPEG else 0
    if scans > MAX_SCANS + parts:
        raise InvalidImage(f"The image has more than {MAX_SCANS} scans; save it without JPEG.")


def _meaning(number: int, directory: Directory) -> Page:
    """Raises InvalidImage when it is none that is known."""
    compression, photometric = directory.number(COMPRESSION, 1), directory.number(PHOTOMETRIC, -1)
    if compression not in COMPRESSIONS:
        raise InvalidImage(
            f"The TIFF's compression ({compression}) cannot be read; save it with LZW."
        )
    if photometric not in COLOURS:
        what = OTHERS.get(photometric, f"of an unknown kind ({photometric})")
        raise InvalidImage(f"The TIFF's colours are {what}; save it as RGB.")
    channels, colours = directory.number(CHANNELS, 1), COLOURS[photometric]
    bits, forms = directory.numbers(BITS) or (1,), directory.numbers(FORMAT) or (UNSIGNED,)
    if len(set(bits)) > 1 or len(set(forms)) > 1 or channels < colours:
        raise InvalidImage("The TIFF's channels are not alike, or too few; save it as RGB.")
    if bits[0] == 32 or forms[0] not in (UNSIGNED, SIGNED, UNKNOWN):
        raise InvalidImage(
            f"The image has {bits[0]} bits per channel"
            f"{'' if forms[0] in (UNSIGNED, SIGNED) else ' with a fraction'};"
            " send one with 8 or 16 bits per channel."
        )
    signed = forms[0] == SIGNED
    _check_depth(directory, bits[0], photometric, channels, signed)
    extra = directory.numbers(EXTRA)
    kinds = [kind for kind in extra if kind in (PREMULTIPLIED, STRAIGHT)]
    alpha = colours + extra.index(kinds[0]) if kinds else None
    if alpha is not None and alpha >= channels:
        raise InvalidImage("The TIFF names more channels than it has; save it anew.")
    premultiplied = bool(kinds) and kinds[0] == PREMULTIPLIED
    return Page(number, directory, bits[0], photometric, channels, signed, alpha, premultiplied)


def _check_depth(
    directory: Directory, bits: int, photometric: int, channels: int, signed: bool
) -> None:
    planes = directory.number(PLANES, 1) != 1 and channels > 1
    if bits in (1, 2, 4):
        known = channels == 1 and not signed
    elif bits in ODD_BITS:  # by OpenCV, which mixes up planes
        greys_or_rgb = photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
        known = channels in (1, 3, 4) and greys_or_rgb and not signed and not planes
    else:  # by libvips, which mixes up two planes
        few = photometric in (PALETTE, YCBCR)
        known = bits in ((8,) if few else (8, 16)) and not (signed and few)
        known = known and not (planes and channels == 2)
    if not known:
        how = f"{' with a sign' if signed else ''}{' in planes' if planes else ''}"
        raise InvalidImage(
            f"The TIFF has {channels} channels of {bits} bits{how}, which cannot be read;"
            " save it with 8 or 16 bits per channel."
        )
    if photometric == CMYK and directory.number(INK_SET, 1) != 1:
        raise InvalidImage("The TIFF's inks are not CMYK; save it as RGB.")


def _samples(content: bytes, page: Page) -> NDArray[Any]:
    """[H, W, C] as stored, but palettes and YCbCr are RGB and 10 to 14 bits are the upper of 16."""
    if page.bits not in ODD_BITS:
        return vips.load("tiff", _neutral(content, page), page=page.number)
    if page.number:
        raise InvalidImage("The TIFF begins with a thumbnail; save it without.")
    samples = opencv.load(_neutral(content, page))
    if samples.dtype != np.uint16:
        raise InvalidImage(DAMAGED)
    return samples


def _neutral(content: bytes, page: Page) -> bytes:
    """The file with the tags that decoders act on set to what needs no action: it is done here."""
    changed = bytearray(content)
    order = ">" if content.startswith(b"M") else "<"
    numbers = {ORIENTATION: 1, EXTRA: STRAIGHT}
    if page.photometric == WHITE_IS_ZERO:
        numbers[PHOTOMETRIC] = BLACK_IS_ZERO
    if page.channels == 1:
        numbers[PLANES] = 1
    for tag, number in numbers.items():
        entry = page.directory.entries.get(tag)
        if entry is None:
            continue
        if entry.kind in NUMBERS and entry.place + entry.size <= len(content):
            form = f"{order}{entry.count}{NUMBERS[entry.kind]}"
            struct.pack_into(form, changed, entry.place, *[number] * entry.count)
    return bytes(changed)


def _planes(samples: NDArray[Any], page: Page) -> tuple[Samples, Samples | None]:
    """From what is stored to 0 for black or no ink, and 255 or 65535 for the most."""
    if page.signed:
        wide = samples.dtype == np.int16
        samples = (samples.astype(np.int32) + (32768 if wide else 128)).astype(
            np.uint16 if wide else np.uint8
        )
    if samples.dtype not in (np.uint8, np.uint16):
        raise InvalidImage(DAMAGED)
    colours, alpha = COLOURS[page.photometric], page.alpha
    if page.photometric == PALETTE:
        # Grey palettes too become RGB, or with what is beside the colours one channel more.
        alpha = None if alpha is None else alpha + 2
        colours = 3
    colour, opacity = split(samples, colours, alpha)
    if page.photometric == WHITE_IS_ZERO:
        colour = np.iinfo(colour.dtype).max - colour
    if page.premultiplied:
        colour = unpremultiplied(colour, opacity)
    return colour, opacity
