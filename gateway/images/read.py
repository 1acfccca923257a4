"""The uploaded file as an RGB image."""

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.errors import ImageTooLarge, InvalidImage
from gateway.images import bitmap, gif, heif, jpeg, png, tiff, vips, webp
from gateway.images.colour import to_srgb
from gateway.images.cost import DAMAGED, Bound
from gateway.images.picture import Picture, to_8_bits, upright

SHORTEST_SIDE = 8  # denoise pads shorter ones
FORMATS = ("JPEG", "PNG", "WebP", "AVIF", "HEIC", "GIF", "BMP", "TIFF")
TAKEN = f"send a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file"
logger = logging.getLogger("gateway")

Decoder = Callable[[bytes, Bound], Picture]
# https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm
BEGINNINGS: dict[bytes, Decoder] = {
    b"\xff\xd8\xff": jpeg.decode,
    png.SIGNATURE: png.decode,
    b"GIF87a": gif.decode,
    b"GIF89a": gif.decode,
    b"BM": bitmap.decode,
    b"II*\0": tiff.decode,
    b"MM\0*": tiff.decode,
}
# Those of the container HEIF, in this order: a picture in AV1 may carry the general brands as well.
BRANDS: dict[bytes, Decoder] = {
    **dict.fromkeys((b"avif", b"avis"), heif.decode_avif),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), heif.decode_heic),
    **dict.fromkeys((b"mif1", b"msf1"), heif.decode_heic),
}
KNOWN = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
}


@dataclass(frozen=True)
class Upright:
    """sRGB as it is to be seen. colour: uint8 [H, W, 3]. alpha: uint8 [H, W], None: opaque."""

    colour: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None

    @property
    def is_opaque(self) -> bool:
        """Also where there is an alpha that hides nothing."""
        return self.alpha is None or bool(self.alpha.min() == 255)

    def on(self, background: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Composited on a colour of sRGB: uint8 [H, W, 3]."""
        if self.alpha is None:
            return np.ascontiguousarray(self.colour)
        opacity = self.alpha[..., None].astype(np.uint16)
        mixed = self.colour * opacity + np.array(background, np.uint16) * (255 - opacity)
        return ((mixed + 127) // 255).astype(np.uint8)


def read_image(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an upload by its content: uint8 [H, W, 3], sRGB.

    The first frame of an animation or the first page; upright as EXIF or the container has it;
    samples of up to 16 bits; colours described by cICP, an ICC profile, sRGB, gAMA with cHRM or
    EXIF's interoperability index converted to sRGB; transparency composited on white.
    Raises InvalidImage when it is no such file, damaged, made to keep a decoder busy or of samples
    whose meaning is not known; ImageTooLarge past max_pixels.
    """
    return read_picture(content, max_pixels).on((255, 255, 255))


def read_picture(
    content: bytes, max_pixels: int, fit: Callable[[int, int], tuple[int, int]] | None = None
) -> Upright:
    """As read_image, with the transparency beside the colours.

    fit: width and height, either way round -> those to reduce it to; None: nothing is reduced.
    """
    decode = sniff(content)
    try:
        picture = decode(content, lambda width, height: check_size(width, height, max_pixels))
        if fit is not None:
            picture = _reduced(picture, fit)
        colour = to_srgb(picture.colour, picture.descriptions)
    except InvalidImage:
        raise
    except Exception as error:  # decoders raise what they like at a broken file
        logger.info("an upload could not be decoded: %r", error)
        raise InvalidImage(DAMAGED) from error
    alpha = (
        None if picture.alpha is None else upright(to_8_bits(picture.alpha), picture.orientation)
    )
    return Upright(upright(colour, picture.orientation), alpha)


def _reduced(picture: Picture, fit: Callable[[int, int], tuple[int, int]]) -> Picture:
    """As small as `fit` says, before it is turned and its colours are, which takes memory."""
    height, width = picture.colour.shape[:2]
    size = fit(width, height)
    if size == (width, height):
        return picture
    colour, alpha = vips.reduced(picture.colour, picture.alpha, *size)
    return replace(picture, colour=colour, alpha=alpha)


def sniff(content: bytes) -> Decoder:
    """What decodes the file, told by its first bytes. Raises InvalidImage."""
    if not content:
        raise InvalidImage("The image is empty.")
    for beginning, decoder in BEGINNINGS.items():
        if content.startswith(beginning):
            return decoder
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return webp.decode
    if content[4:8] == b"ftyp":
        (length,) = struct.unpack_from(">I", content)
        brands = content[8 : min(length, 200)]
        for brand, decoder in BRANDS.items():
            if brand in (brands[i : i + 4] for i in range(0, len(brands), 4)):
                return decoder
    for beginning, name in KNOWN.items():
        if content.startswith(beginning):
            raise InvalidImage(f"The image is a {name} file; {TAKEN}.")
    raise InvalidImage(f"The image could not be read; {TAKEN}.")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Known from the header; nothing is decoded yet. A side is worked on as SHORTEST_SIDE at least.

    Raises ImageTooLarge.
    """
    pixels = max(width, SHORTEST_SIDE) * max(height, SHORTEST_SIDE)
    if pixels > max_pixels:
        raise ImageTooLarge(
            f"The image is {width} x {height} pixels, which counts as {pixels};"
            f" at most {max_pixels} are allowed."
        )
