"""What happens to a picture before it is upscaled: reduced, a little noise, a little JPEG."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.scenes import chance

FACTOR = 4
KERNELS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
)
NOISE_SHARE = 0.15
JPEG_SHARE = 0.15


def degrade(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture at a quarter of its size: uint8 [4 h, 4 w, 3] to [h, w, 3]."""
    reduced = reduce(image, KERNELS[rng.integers(len(KERNELS))])
    if chance(rng, NOISE_SHARE):
        noise = rng.normal(0, rng.uniform(0, 5), reduced.shape)
        reduced = np.clip(reduced + noise, 0, 255).round().astype(np.uint8)
    if chance(rng, JPEG_SHARE):
        reduced = recompress(reduced, int(rng.integers(70, 99)))
    return reduced


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
