"""What a server would refuse, told before an image is sent to it."""

import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image

from gateway.schemas import Model


def refusal(image: bytes, model: Model, *, fit: bool) -> str | None:
    """A sentence, None where it may be sent. fit: whether the server is to reduce it first.

    A file whose size cannot be read here may be one that the server reads.
    """
    if len(image) > model.max_body_bytes:
        return (
            f"The file has {len(image)} bytes; this server takes at most {model.max_body_bytes}."
            " Save it smaller or as JPEG."
        )
    try:
        width, height = image_size(BytesIO(image))
    except (OSError, ValueError):
        return None
    most = model.max_fit_pixels if fit else model.max_input_pixels
    if width * height <= most:
        return None
    can_fit = not fit and width * height <= model.max_fit_pixels
    advice = "--fit lets it be reduced first." if can_fit else "Reduce or crop it."
    return (
        f"The image is {width} x {height}, which is {width * height} pixels; this server takes at"
        f" most {most}. {advice}"
    )


def image_size(file: Path | BytesIO) -> tuple[int, int]:
    """Width and height, from a file's head. Raises OSError or ValueError for what has none."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise OSError(str(error)) from error
