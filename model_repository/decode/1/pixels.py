"""The decoder's image as pixels."""

import numpy as np
from numpy.typing import NDArray


def to_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """float32 [3, h, w] of about -1..1 -> uint8 [h, w, 3], as diffusers' `VaeImageProcessor`."""
    unit = np.clip(image.transpose(1, 2, 0) * np.float32(0.5) + np.float32(0.5), 0.0, 1.0)
    return (unit * 255).round().astype(np.uint8)
