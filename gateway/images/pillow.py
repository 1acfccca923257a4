"""What Pillow reads for us: files of 8 bits per channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from gateway.images.cost import Upload
from gateway.images.picture import split

Image.MAX_IMAGE_PIXELS = None  # max_pixels decides
# What a mode of Pillow becomes. Any other means more than 8 bits or a space that no format of ours
# has, and is an error here, never a picture.
MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "CMYK": "CMYK",
}
COLOURS = {"L": (1, None), "LA": (1, 1), "RGB": (3, None), "RGBA": (3, 3), "CMYK": (4, None)}


def open_image(content: bytes, kind: str) -> ImageFile.ImageFile:
    """The header only, so that the size is known."""
    return Image.open(Upload(content), formats=[kind])


def extents_of(image: ImageFile.ImageFile) -> tuple[int, int, int, int]:
    """Where on its canvas the first frame lies, before it is decoded: left, top, right, bottom."""
    return image.tile[0].extents or (0, 0, *image.size)


def samples_of(image: Image.Image) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Decodes: colours [H, W, C] and alpha [H, W] or None, uint8. Raises KeyError, see MODES."""
    image.load()
    mode = "RGBA" if image.has_transparency_data else MODES[image.mode]
    if image.mode == "LA":
        mode = "LA"
    samples = np.asarray(image.convert(mode))
    return split(samples.reshape(image.height, image.width, -1), *COLOURS[mode])
