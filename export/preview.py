"""What draws previews: the decoder, approximated by one convolution over the latents."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

PREVIEW_SCALE = 2  # pixels a latent and side
SIDE = 128
PICTURES = 6
RIDGE = 1e-3


@torch.no_grad()
def write_preview(vae: Any, path: Path) -> None:
    """Fit the convolution to the decoder by least squares and write it as a NumPy file.

    float32 [3 * PREVIEW_SCALE**2, 4 * 3 * 3 + 1]: from a latent's neighbourhood, and 1 for the
    bias, to its pixels in -1..1, in the order of `torch.nn.functional.pixel_shuffle`.
    """
    latents = vae.encode(pictures()).latent_dist.mean
    decoded = functional.interpolate(
        vae.decode(latents).sample,
        size=[PREVIEW_SCALE * side for side in latents.shape[2:]],
        mode="area",
    )
    patches = functional.unfold(functional.pad(latents, [1] * 4, "replicate"), 3)
    inputs = rows_of(patches * vae.config.scaling_factor)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    targets = rows_of(functional.pixel_unshuffle(decoded, PREVIEW_SCALE).flatten(2)).double()
    square = inputs.T @ inputs
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square))
    weights = torch.linalg.solve(square + ridge, inputs.T @ targets)
    np.save(path, weights.T.float().numpy())


def rows_of(columns: Tensor) -> Tensor:
    """[N, C, L] -> [N L, C]."""
    return columns.transpose(1, 2).flatten(0, 1)


def pictures() -> Tensor:
    """Pictures with the spectrum of photographs, float32 [PICTURES, 3, SIDE, SIDE] in -1..1."""
    generator = torch.Generator().manual_seed(0)
    frequencies = torch.fft.fftfreq(SIDE)
    radius = (frequencies[:, None] ** 2 + frequencies**2).sqrt().clamp(min=1 / SIDE)
    noise = torch.randn(PICTURES, 3, SIDE, SIDE, generator=generator)
    colored = torch.fft.ifft2(torch.fft.fft2(noise) / radius).real
    colored = colored + 2 * colored.mean(1, keepdim=True)  # colours go together mostly
    scaled: Tensor = colored / (2.5 * colored.std((1, 2, 3), keepdim=True))
    return scaled.clamp(-1, 1)
