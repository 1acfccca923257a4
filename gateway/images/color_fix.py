"""The colours of the input for the result: its low frequencies, by an undecimated wavelet.

As StableSR's `wavelet_reconstruction` (Wang et al., https://arxiv.org/abs/2305.07015): five levels
of the kernel 1 2 1, each with its taps twice as far apart. The input is first made as large.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

ColorFix = Literal["none", "wavelet"]
LEVELS = 5
KERNEL = (0.25, 0.5, 0.25)


def with_colors_of(image: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """image: RGB [h, w, 3]. picture: RGB [H, W, 3] -> the same; a channel at a time in memory."""
    height, width = picture.shape[:2]
    fixed = np.empty_like(picture)
    for channel in range(picture.shape[2]):
        large = cv2.resize(image[..., channel], (width, height), interpolation=cv2.INTER_CUBIC)
        difference = large.astype(np.float32) - picture[..., channel]
        # Low frequencies are linear: those of the difference are what has to be added.
        sum_ = low_frequencies(difference) + picture[..., channel]
        fixed[..., channel] = sum_.round().clip(0, 255)
    return fixed


def low_frequencies(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [H, W] -> the same without its details; edges are repeated outwards."""
    for level in range(LEVELS):
        taps = np.zeros(2 * 2**level + 1, np.float32)
        taps[:: 2**level] = KERNEL
        plane = np.asarray(
            cv2.sepFilter2D(plane, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REPLICATE),
            np.float32,
        )
    return plane
