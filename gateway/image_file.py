"""The uploaded file as an RGB image."""

import io
import logging
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from gateway.errors import ImageTooLarge, InvalidImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SHORTEST_SIDE = 8  # denoise pads shorter ones
MAX_SCANS = 500  # of a progressive JPEG; encoders make some ten
START_OF_SCAN = b"\xff\xda"
TILE_WIDTH, TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
# An entry with one of the two, of any type, in either byte order, in TIFF or BigTIFF. Of two for
# one tag Pillow takes the last and libtiff, which decodes, the first.
TILE_ENTRY = re.compile(
    rb"[\x42\x43]\x01.\x00\x01\x00{3}|\x01[\x42\x43]\x00.\x00{3}(?:\x00{4})?\x01", re.DOTALL
)
Image.MAX_IMAGE_PIXELS = None  # max_pixels below decides
logger = logging.getLogger("gateway")


def read_image(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an upload by its content: uint8 [H, W, 3], sRGB.

    The first frame of an animation; EXIF orientation applied; an embedded colour profile converted
    to sRGB; 16-bit grey scaled to 8; transparency composited on white.
    Raises InvalidImage when it is no such file, damaged, or decodes to far more than it shows;
    ImageTooLarge past max_pixels.
    """
    if not content:
        raise InvalidImage("The image is empty.")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # Pillow's decoders raise what they like at a broken file
        raise InvalidImage(
            "The image could not be read; send a JPEG, PNG, WebP, GIF, BMP or TIFF file."
        ) from error
    width, height = image.size
    # Known from the header; nothing is decoded yet. A side is worked on as SHORTEST_SIDE at least.
    pixels = max(width, SHORTEST_SIDE) * max(height, SHORTEST_SIDE)
    if pixels > max_pixels:
        raise ImageTooLarge(
            f"The image is {width} x {height} pixels, which counts as {pixels};"
            f" at most {max_pixels} are allowed."
        )
    try:
        _check_cost(image, content, max_pixels)
        return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except InvalidImage:
        raise
    except Exception as error:
        logger.info("an upload could not be decoded: %r", error)
        raise InvalidImage("The image is damaged or cut short; it could not be decoded.") from error


def _check_cost(image: Image.Image, content: bytes, max_pixels: int) -> None:
    """Raises InvalidImage for little files that keep a decoder busy beyond the pixels they show."""
    # A decoder goes over the whole picture in every scan, and ten bytes make one.
    if image.format in ("JPEG", "MPO") and content.count(START_OF_SCAN) > MAX_SCANS:
        raise InvalidImage(f"The image has more than {MAX_SCANS} scans; save it as another JPEG.")
    # A tile is decoded whole, however little of it lies in the picture.
    if isinstance(image, TiffImageFile) and (entries := len(TILE_ENTRY.findall(content))):
        tile = image.tag_v2[TILE_WIDTH] * image.tag_v2[TILE_LENGTH]
        if entries > 2 or tile > max_pixels:  # noqa: PLR2004 (one a tag)
            raise InvalidImage("The image has large or many kinds of tiles; save it without tiles.")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise InvalidImage(
            "The image has 32 bits per channel; send one with 8 or 16 bits per channel."
        )
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image, np.float32) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.info = image.info
        image = Image.alpha_composite(white, image)
    return _to_srgb(image)


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            assert converted is not None  # only an in-place conversion returns None
            return converted
        except (OSError, ImageCms.PyCMSError) as error:
            # A profile that is broken or for other channels is left aside, as browsers do.
            logger.info("an embedded colour profile was left aside: %s", error)
    return image.convert("RGB")
