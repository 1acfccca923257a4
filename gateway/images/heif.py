"""AVIF and HEIC, the two codecs in the container HEIF (ISO/IEC 23008-12).

The container itself says how a picture is turned, so that EXIF's orientation does not count: it
comes upright from libheif, which bounds what a decoder takes by the size that the container tells.
"""

import io
from typing import Any

import numpy as np
import pi_heif

from gateway.errors import InvalidImage
from gateway.images import vips
from gateway.images.cicp import cicp_space
from gateway.images.colour import Description, Profile
from gateway.images.cost import Bound
from gateway.images.picture import Picture, split, unpremultiplied

# Nothing but the picture itself is looked at.
pi_heif.options.THUMBNAILS = False
pi_heif.options.DEPTH_IMAGES = False
pi_heif.options.AUX_IMAGES = False
COLOURS = {"L": (1, None), "LA": (1, 1), "RGB": (3, None), "RGBA": (3, 3), "RGBa": (3, 3)}


def decode_avif(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    image = _open(content)
    samples = vips.load("heif", content, bound)
    colours = 1 if samples.shape[2] <= 2 else 3
    colour, alpha = split(samples, colours, colours if samples.shape[2] > colours else None)
    if image.mode.startswith("RGBa"):
        colour = unpremultiplied(colour, alpha)
    return Picture(colour, alpha, _descriptions(image.info))


def decode_heic(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    image = _open(content)
    bound(*image.size)
    descriptions = _descriptions(image.info)
    mode = image.mode.partition(";")[0]
    if mode not in COLOURS:
        raise InvalidImage(
            f"The HEIC holds pixels of an unknown kind ({image.mode}); save it as JPEG."
        )
    samples = np.array(image)  # a copy: the decoder's memory goes with the image
    colour, alpha = split(samples.reshape(image.size[1], image.size[0], -1), *COLOURS[mode])
    if mode == "RGBa":
        colour = unpremultiplied(colour, alpha)
    return Picture(colour, alpha, descriptions)


def _open(content: bytes) -> Any:
    file = pi_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=False)
    return file[file.primary_index]


def _descriptions(info: dict[str, Any]) -> list[Description]:
    descriptions: list[Description] = []
    if profile := info.get("icc_profile"):
        descriptions.append(Profile(profile))
    if code := info.get("nclx_profile"):
        primaries, transfer = code["color_primaries"], code["transfer_characteristics"]
        if space := cicp_space(primaries, transfer, video=True):
            descriptions.append(space)
    return descriptions
