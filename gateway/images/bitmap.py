"""BMP."""

import struct
from typing import Any

from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images import opencv, pillow
from gateway.images.cost import DAMAGED, Bound
from gateway.images.picture import Picture

COMPRESSION, PIXELS_BYTES = 30, 34  # places in the file
RLE8, RLE4 = 1, 2
CORE_HEADER = 12  # bytes; OS/2's, without a compression


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    try:
        image = pillow.open_image(content, "BMP")
    except OSError as error:
        raise InvalidImage(f"The BMP cannot be read ({error}); save it as PNG.") from error
    bound(*image.size)
    (header,) = struct.unpack_from("<I", content, 14)
    if header > CORE_HEADER and struct.unpack_from("<I", content, COMPRESSION)[0] in (RLE8, RLE4):
        return Picture(_run_lengths(content))
    return Picture(*pillow.samples_of(image))


def _run_lengths(content: bytes) -> NDArray[Any]:
    """By OpenCV, as Pillow reads them byte by byte in Python."""
    (start,), (length,) = (
        struct.unpack_from("<I", content, 10),
        struct.unpack_from("<I", content, PIXELS_BYTES),
    )
    if length and start + length > len(content):
        raise InvalidImage(DAMAGED)
    return opencv.load(content)
