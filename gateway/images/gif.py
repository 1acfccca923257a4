"""GIF: the first frame on its canvas, which is clear where no frame is."""

import numpy as np

from gateway.images import pillow
from gateway.images.cost import Bound
from gateway.images.picture import Picture


def decode(content: bytes, bound: Bound) -> Picture:
    """Raises InvalidImage for a broken file and what `bound` raises."""
    image = pillow.open_image(content, "GIF")
    width, height = image.size
    bound(width, height)
    left, top, right, bottom = pillow.extents_of(image)
    colour, alpha = pillow.samples_of(image)
    if (right - left, bottom - top) != (width, height):
        inside = np.zeros((height, width), np.uint8)
        inside[top:bottom, left:right] = 255
        alpha = inside if alpha is None else np.minimum(alpha, inside)
    return Picture(colour, alpha)
