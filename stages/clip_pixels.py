"""What the safety checker looks at: a small, normalised copy of the image."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST = 8


@dataclass(frozen=True)
class ClipPixels:
    """Hugging Face's `CLIPImageProcessor`, by its preprocessor_config.json.

    size: of the shorter edge after the bicubic resize. crop: the side of the square cut from the
    middle. mean, std: per channel, of pixels in 0..1.
    """

    size: int
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_file(cls, path: Path) -> "ClipPixels":
        config = json.loads(path.read_text())
        size, crop = config["size"], config["crop_size"]
        return cls(
            size=size if isinstance(size, int) else size["shortest_edge"],
            crop=crop if isinstance(crop, int) else crop["height"],
            mean=tuple(config["image_mean"]),
            std=tuple(config["image_std"]),
        )

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [H, W, 3] -> pixel_values float32 [3, crop, crop]."""
        image = middle(image)
        height, width = image.shape[:2]
        short = min(height, width)
        new_width, new_height = (int(self.size * side / short) for side in (width, height))
        resized = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BICUBIC)
        left, top = (new_width - self.crop) // 2, (new_height - self.crop) // 2
        cropped = resized.crop((left, top, left + self.crop, top + self.crop))
        pixels = np.asarray(cropped, np.float32) / 255
        normalised = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1), np.float32)


def middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a long, thin image, up to LONGEST times its width.

    The crop shows no more of it, and the resized whole would be thousands of times as large.
    """
    height, width = image.shape[:2]
    length = LONGEST * min(height, width)
    top, left = max(0, height - length) // 2, max(0, width - length) // 2
    return image[top : height - top, left : width - left]
