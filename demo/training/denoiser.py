"""Stage 2, too: what the UNet learns, to see through the noise of a noise_level.

Its last block asks the others how the small picture is to be corrected, and scales what they say by
the noise level, to nothing at level 0: there is nothing that they could do wrong there.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from demo.training.loop import train
from demo.training.muon import Muon
from demo.training.pictures import Pictures
from demo.training.unet import CORRECTIONS, LARGEST_NOISE_LEVEL, TEXT_WIDTH, alphas_cumprod, factors
from demo.training.vae import COLOR_SCALE, WEAK, batch, error

RATE = 3e-3
CROP = 192  # pixels, of which a quarter is left
# Of the UNet, what is constructed; the text has no effect.
CONSTRUCTED = (
    "conv_in",
    "time_embedding",
    "class_embedding",
    "attentions",
    "up_blocks.3.resnets.0.conv_shortcut",
    "up_blocks.3.resnets.0.time_emb_proj",
    "up_blocks.3.resnets.0.conv2.bias",
    "up_blocks.3.resnets.1",
    "conv_norm_out",
    "conv_out",
)


def train_denoiser(
    unet: UNet2DConditionModel,
    pictures: Pictures,
    folder: Path,
    device: str,
    minutes: float,
    batch_size: int,
    seed: int,
) -> None:
    """Train a constructed UNet for so many minutes, resumed from `folder`'s checkpoint."""
    torch.manual_seed(seed)
    unet.to(device, memory_format=torch.channels_last)
    keep_constructed(unet)

    def losses(_: int, rng: np.random.Generator) -> dict[str, Tensor]:
        small = batch(pictures, batch_size, CROP, rng, device)[1]
        return {"error": denoiser_loss(unet, small)}

    train(folder / "denoiser.pt", unet, Muon(unet, RATE), losses, {"error": 1.0}, minutes, seed)


def keep_constructed(unet: UNet2DConditionModel) -> None:
    """Let training change nothing that `construct` has made."""
    for name, weight in unet.named_parameters():
        weight.requires_grad_(not any(part in name for part in CONSTRUCTED))
    weight = unet.up_blocks[-1].resnets[0].conv2.weight
    corrections = torch.zeros_like(weight)
    corrections[CORRECTIONS] = 1
    weight.register_hook(corrections.mul)


def denoiser_loss(unet: UNet2DConditionModel, small: Tensor) -> Tensor:
    """The error of the small pictures that the UNet finds in noisy ones; [N, 3, h, w] in -1..1."""
    count, device = len(small), small.device
    levels = torch.randint(1, LARGEST_NOISE_LEVEL, (count,))
    steps = torch.randint(1000, (count,))
    noisy = add_noise(small, levels)
    detail = WEAK * torch.randn(count, 1, *small.shape[2:], device=device)
    # These latents tell no more of the picture than the noisy one does.
    latents = add_noise(torch.cat([COLOR_SCALE * noisy, detail], 1), steps)
    text = torch.zeros(count, 1, TEXT_WIDTH, device=device)
    inputs = torch.cat([latents, noisy], 1)
    velocity = unet(inputs, steps.to(device), text, class_labels=levels.to(device)).sample
    of_latents, _, of_mean, _ = factors(steps, levels).float().to(device).T[..., None, None, None]
    found = (velocity[:, :3] - of_latents * latents[:, :3]) / of_mean
    return error(found, small)


def add_noise(images: Tensor, steps: Tensor) -> Tensor:
    """As the schedulers do it; images: [N, C, h, w], steps: int64 [N]."""
    share = alphas_cumprod()[steps].to(images.device)[:, None, None, None]
    return share.sqrt() * images + (1 - share).sqrt() * torch.randn_like(images)
