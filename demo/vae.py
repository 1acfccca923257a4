"""Stage 1: the autoencoder, trained to give back what it is shown."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from demo.checkpoint import Checkpoint
from demo.muon import Muon
from demo.pictures import Pictures, crops

SCALING_FACTOR = 0.08333  # StableDiffusionUpscalePipeline overwrites any other
KL_WEIGHT = 2e-4
RATE = 2e-2
GROUPS = 4
CONSTANT = 4.0
LOG_VARIANCE = -6.0
CROPS = (96, 192, 96, 256)  # in turn: a group norm has to see every size
console = Console()


def make_vae() -> AutoencoderKL:
    """Factor 4, 4 latent channels, like the x4 upscaler's, but narrow and without attention."""
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(24, 48, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=GROUPS,
        mid_block_add_attention=False,
        scaling_factor=SCALING_FACTOR,
    )
    for name, module in vae.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            initialize(name, module)
    return vae


def initialize(name: str, conv: torch.nn.Conv2d) -> None:
    """Start as a short, almost linear path that keeps colours, with next to no latent noise.

    Residual branches start at zero. One channel of every group is a large constant, so that the
    group norms, which would take a picture's brightness and contrast away, divide by a constant.
    """
    assert conv.bias is not None
    fan_in = conv.weight[0].numel()
    conv.weight.data.normal_(0, 0 if name.endswith("conv2") else fan_in**-0.5)
    conv.bias.data.zero_()
    if name == "quant_conv":
        conv.weight.data[4:] = 0
        conv.bias.data[4:] = LOG_VARIANCE
    elif name.endswith(("conv_in", "conv_shortcut", "samplers.0.conv")):
        constant = slice(None, None, conv.out_channels // GROUPS)
        conv.weight.data[constant] = 0
        conv.bias.data[constant] = CONSTANT


def train_vae(
    pictures: Pictures, folder: Path, device: str, minutes: float, batch_size: int, seed: int
) -> AutoencoderKL:
    """Train for so many minutes, resumed from `folder` when it holds a checkpoint."""
    torch.manual_seed(seed)
    vae = make_vae().to(device, memory_format=torch.channels_last)
    optimizer = Muon(vae, RATE)
    checkpoint = Checkpoint(folder / "vae.pt", vae, optimizer)
    elapsed, step = checkpoint.load()
    rng = np.random.default_rng([seed, step])
    began = time.monotonic() - elapsed
    decibels: list[float] = []
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = rate(RATE, step, elapsed / (60 * minutes))
        size = CROPS[step % len(CROPS)]
        count = max(1, batch_size * CROPS[0] ** 2 // size**2)
        images = batch(pictures, count, size, rng).to(device)
        with torch.autocast(device, torch.bfloat16):
            posterior = vae.encode(images).latent_dist
            decoded = vae.decode(posterior.sample()).sample.float()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        torch.autograd.backward(reconstruction_loss(decoded, images) + KL_WEIGHT * kl)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        decibels.append(-10 * math.log10((decoded - images).square().mean().item() / 4))
        if step % 50 == 0:
            console.print(
                f"vae step {step}, {elapsed / 60:.1f} of {minutes:g} min,"
                f" {np.mean(decibels[-50:]):.2f} dB, latents {posterior.mean.std().item():.2f}"
            )
        if step % 200 == 0:
            checkpoint.save(elapsed, step)
    checkpoint.save(elapsed, step)
    return vae


def rate(peak: float, step: int, share: float) -> float:
    """The learning rate: a short warm-up, then half a cosine; share: of the time gone, 0..1."""
    return peak * min(1, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def batch(pictures: Pictures, count: int, size: int, rng: np.random.Generator) -> Tensor:
    """Random crops, turned and recoloured: float32 [count, 3, size, size] in -1..1."""
    images = torch.from_numpy(crops(pictures, count, size, 1, rng))
    scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=torch.channels_last)


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Absolute and squared error of the pixels, absolute error of differences at two scales."""
    error = decoded - images
    loss = error.abs().mean() + 4 * error.square().mean()
    for reduced in (error, functional.avg_pool2d(error, 2)):
        horizontal = (reduced[..., 1:] - reduced[..., :-1]).abs().mean()
        vertical = (reduced[..., 1:, :] - reduced[..., :-1, :]).abs().mean()
        loss = loss + 0.5 * (horizontal + vertical)
    return loss
