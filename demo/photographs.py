"""Photographs and their sizes: what a picture is reduced and enlarged by."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRAINED_ON = ("astronaut", "coffee", "rocket")  # scikit-image's; its cat is for evaluation
FACTOR = 4


def reduce(
    image: NDArray[np.uint8], kernel: Image.Resampling = Image.Resampling.BICUBIC
) -> NDArray[np.uint8]:
    """uint8 [4 h, 4 w, 3] to [h, w, 3], without noise."""
    height, width = (side // FACTOR for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), kernel))


def enlarge(
    image: NDArray[np.uint8], kernel: Image.Resampling = Image.Resampling.BICUBIC
) -> NDArray[np.uint8]:
    """uint8 [h, w, 3] to [4 h, 4 w, 3] by interpolation."""
    height, width = (side * FACTOR for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), kernel))


def recompress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture as it comes back from a JPEG file of this quality, 1 to 100."""
    file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)
