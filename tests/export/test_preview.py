"""The fitted convolution against the decoder that it stands for."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from export.preview import PREVIEW_SCALE, pictures, write_preview

VAE = Path(__file__).parents[2] / "demo" / "model" / "vae"


def test_it_draws_roughly_what_the_decoder_does(tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(VAE, dtype=torch.float32).eval()
    write_preview(vae, tmp_path / "preview.npy")
    weights = torch.from_numpy(np.load(tmp_path / "preview.npy"))
    assert weights.shape == (3 * PREVIEW_SCALE**2, 4 * 3 * 3 + 1)
    with torch.no_grad():
        latents = vae.encode(pictures()).latent_dist.mean
        decoded = functional.interpolate(vae.decode(latents).sample, scale_factor=0.5, mode="area")
        kernel = weights[:, :-1].reshape(-1, 4, 3, 3)
        padded = functional.pad(latents * vae.config.scaling_factor, [1] * 4, "replicate")
        drawn = functional.pixel_shuffle(
            functional.conv2d(padded, kernel, weights[:, -1].contiguous()), PREVIEW_SCALE
        )
    error = (drawn - decoded).square().mean() / decoded.var()
    assert error < 0.1


def test_the_pictures_are_the_same_every_time() -> None:
    assert torch.equal(pictures(), pictures())
