"""The photograph that benchmarks send."""

import io
from pathlib import Path

import skimage.data
from PIL import Image, ImageOps


def photograph(source: Path | None, width: int, height: int) -> Image.Image:
    """RGB, cut in the middle and reduced to the size; without a source, scikit-image's cat."""
    image = Image.fromarray(skimage.data.cat()) if source is None else Image.open(source)
    size = (width, height)
    return ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
