"""The photographs that scikit-image ships, reduced to the size that a test asks for."""

import io
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

NAMES = ("astronaut", "cat", "coffee", "rocket")


def photograph(name: str, width: int, height: int) -> Image.Image:
    """An RGB photograph, cut in the middle to the shape and reduced to the size asked for."""
    image = Image.fromarray(getattr(skimage.data, name)())
    scale = max(width / image.width, height / image.height)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(file: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(file)).convert("RGB"))
