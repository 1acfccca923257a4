"""A picture's transparency, which the model knows nothing of: beside its colours, all the way."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Of 255: below it a colour is stored with few steps, and of a pixel that is clear it may be any.
FAINT = 16


def matte(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB [H, W, 3] with the colours of what is clear taken from what is seen around it.

    So that nothing hidden, nor a background, is drawn into the edges when both are made larger.
    By halves and back, each pixel from the first that is seen: Gortler et al., The Lumigraph, 1996.
    alpha: [H, W].
    """
    weight = np.minimum(alpha.astype(np.float32) / FAINT, 1)[..., None]
    return _filled(colour * weight, weight).round().clip(0, 255).astype(np.uint8)


def _filled(sums: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours times their weights, and the weights from 0 to 1 -> colours everywhere."""
    height, width = weight.shape[:2]
    if min(height, width) == 1 or weight.min() == 1:
        return np.asarray(sums / np.maximum(weight, 1e-6), np.float32)
    half = -(-width // 2), -(-height // 2)
    small = cv2.resize(sums, half, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    seen = seen.reshape(*small.shape[:2], 1)
    more = np.minimum(1, 4 * seen) / np.maximum(seen, 1e-6)
    around = cv2.resize(
        _filled(small * more, seen * more), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(sums + (1 - weight) * around, np.float32)


def enlarged(alpha: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """[H, W] -> [height, width], by a cubic filter.

    Its one lobe is cut off beyond 0 and 255; Lanczos' second one would leave 253 of what is opaque.
    """
    return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
