"""A rough picture of latents, for somebody who watches."""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


class Preview:
    """The decoder as one convolution, fit at the export: see export/preview.py.

    path: a NumPy file, float32 [3 * scale * scale, 4 * 3 * 3 + 1], the last column a bias.
    """

    def __init__(self, path: Path) -> None:
        weights = torch.from_numpy(np.load(path))
        self._kernel = weights[:, :-1].reshape(len(weights), -1, 3, 3)
        self._scale = math.isqrt(len(weights) // 3)  # pixels a latent and side
        self._bias = weights[:, -1].contiguous()

    def draw(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        """Latents without noise, float32 [1, 4, h, w] -> RGB uint8 [scale h, scale w, 3]."""
        padded = functional.pad(latents.cpu(), [1] * 4, "replicate")
        rows = functional.conv2d(padded, self._kernel, self._bias)
        pixels = functional.pixel_shuffle(rows, self._scale)[0].permute(1, 2, 0)
        drawn: NDArray[np.uint8] = ((pixels + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        return drawn
