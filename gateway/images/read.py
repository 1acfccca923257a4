"""The uploaded file as an RGB image."""

import io
import logging

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from gateway.errors import ImageTooLarge, InvalidImage
from gateway.images.cost import Upload, check_cost

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SHORTEST_SIDE = 8  # denoise pads shorter ones
Image.MAX_IMAGE_PIXELS = None  # max_pixels decides
logger = logging.getLogger("gateway")


def read_image(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an upload by its content: uint8 [H, W, 3], sRGB.

    The first frame of an animation; EXIF orientation applied; an embedded colour profile converted
    to sRGB; 16-bit grey scaled to 8; transparency composited on white.
    Raises InvalidImage when it is no such file, damaged or made to keep a decoder busy,
    ImageTooLarge past max_pixels.
    """
    if not content:
        raise InvalidImage("The image is empty.")
    check_cost(content)
    try:
        image = Image.open(Upload(content), formats=FORMATS)
    except InvalidImage:
        raise
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
        image.load()
        return np.array(_to_rgb(_upright(image)))
    except InvalidImage:
        raise
    except Exception as error:
        logger.info("an upload could not be decoded: %r", error)
        raise InvalidImage("The image is damaged or cut short; it could not be decoded.") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # as broken as cameras and editors make it; the pixels are there
        logger.info("unreadable EXIF was left aside: %r", error)
        return image


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
