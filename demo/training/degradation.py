"""What happens to a picture before it is upscaled: reduced, a little noise, a little JPEG."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.photographs import recompress, reduce
from demo.training.scenes import chance

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
