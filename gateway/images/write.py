"""The upscaled image as a file."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidRequest

OutputFormat = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True)
class FileKind:
    """What the world calls a format. longest_side: of what its encoder takes, pixels."""

    media_type: str
    suffix: str
    longest_side: int
    options: tuple[int, int]


# The fastest of OpenCV's settings on photographs that keep flat pictures small. No level is named:
# with one, libpng tries every filter on each row, which takes two thirds longer to save a tenth.
PNG_OPTIONS = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
KINDS: dict[OutputFormat, FileKind] = {
    "png": FileKind("image/png", ".png", 1_000_000, PNG_OPTIONS),
    "jpeg": FileKind("image/jpeg", ".jpg", 65_500, (cv2.IMWRITE_JPEG_QUALITY, 90)),
    "webp": FileKind("image/webp", ".webp", 16_383, (cv2.IMWRITE_WEBP_QUALITY, 90)),
}


def check_size(height: int, width: int, output_format: OutputFormat) -> None:
    """Raises InvalidRequest when a picture of so many pixels does not fit into the format."""
    longest_side = KINDS[output_format].longest_side
    if max(height, width) > longest_side:
        raise InvalidRequest(
            f"The result is {width} x {height} pixels; a side of a {output_format} file has at most"
            f" {longest_side}. Send a smaller image or ask for another output_format."
        )


def write_image(image: NDArray[np.uint8], output_format: OutputFormat) -> bytes:
    """RGB or RGBA uint8 [H, W, 3 or 4] -> a file. Lets go of the GIL, so call it in a thread.

    A JPEG takes RGB alone.
    """
    kind = KINDS[output_format]
    to_bgr = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, content = cv2.imencode(kind.suffix, cv2.cvtColor(image, to_bgr), kind.options)
    assert done  # imencode fails on shapes and types that this is not
    return content.tobytes()
