"""What OpenCV reads for us: run lengths of BMP, and TIFF of 10, 12 and 14 bits."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images.cost import DAMAGED

# It writes a line to standard error for each fault that it finds in a caller's file.
cv2.setLogLevel(0)


def load(content: bytes) -> NDArray[Any]:
    """[H, W, C] of the file's own dtype: grey, RGB or RGBA. Raises InvalidImage when broken."""
    samples = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise InvalidImage(DAMAGED)
    samples = np.array(samples).reshape(*samples.shape[:2], -1)
    if samples.shape[2] > 1:
        samples[..., :3] = samples[..., 2::-1].copy()
    return samples
