"""Stage 2: what can be foreseen of the latents, by a plain convolutional network.

It is used in training only: the UNet learns to vary around these means, which is a smaller task
than to find them itself among everything that a small picture could have been.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from demo.checkpoint import Checkpoint
from demo.latents import Latents
from demo.muon import Muon
from demo.vae import rate

WIDTH, DEPTH = 64, 8
RATE = 1e-2
SIZE, BATCH = 32, 16
LARGEST_NOISE_LEVEL = 200
BETAS = {
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
console = Console()


def make_low_res_scheduler() -> DDPMScheduler:
    """The x4 upscaler's."""
    return DDPMScheduler(**BETAS, clip_sample=True, variance_type="fixed_small")


def random_levels(count: int, device: str) -> Tensor:
    """noise_level for training, mostly small: int64 [count]."""
    return (LARGEST_NOISE_LEVEL * torch.rand(count, device=device) ** 2.5).long()


class Block(nn.Module):
    """Two convolutions beside an identity; no norm, so that colours stay exact."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        changed: Tensor = self.conv2(functional.silu(self.conv1(functional.silu(hidden))))
        return hidden + changed


class MeanLatents(nn.Module):
    """The expected latents of a small picture."""

    def __init__(self) -> None:
        super().__init__()
        self._scheduler = make_low_res_scheduler()
        self.conv_in = nn.Conv2d(4, WIDTH, 3, padding=1)
        self.blocks = nn.Sequential(*[Block(WIDTH) for _ in range(DEPTH)])
        self.conv_out = nn.Conv2d(WIDTH, 4, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, images: Tensor, levels: Tensor) -> Tensor:
        """images: noised, [N, 3, h, w] in -1..1; levels: noise_level, [N]. Returns [N, 4, h, w]."""
        sigma = (1 - self._scheduler.alphas_cumprod.to(images.device)[levels]).sqrt()
        plane = sigma[:, None, None, None].expand(-1, 1, *images.shape[2:])
        inputs = torch.cat([images, plane], 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16):
            latents: Tensor = self.conv_out(self.blocks(self.conv_in(inputs)))
        return latents.float()


def train_mean(
    latents: Latents, weights: Tensor, folder: Path, device: str, minutes: float, seed: int
) -> MeanLatents:
    """Train for so many minutes; resumes from `folder`. weights: of the channels, [4, 1, 1]."""
    torch.manual_seed(seed)
    network = MeanLatents().to(device)
    scheduler, weights = make_low_res_scheduler(), weights.to(device)
    optimizer = Muon(network, RATE)
    checkpoint = Checkpoint(folder / "mean.pt", network, optimizer)
    elapsed, step = checkpoint.load()
    rng = np.random.default_rng([seed, 3, step])
    began, losses = time.monotonic() - elapsed, []
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = rate(RATE, step, elapsed / (60 * minutes))
        encoded, images = (part.to(device) for part in latents.batch(BATCH, SIZE, rng)[:2])
        levels = random_levels(BATCH, device)
        noised = scheduler.add_noise(images, torch.randn_like(images), levels)
        loss = (weights * (network(noised, levels) - encoded).square()).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if step % 200 == 0:
            recent = math.fsum(losses[-200:]) / len(losses[-200:])
            console.print(
                f"mean step {step}, {elapsed / 60:.1f} of {minutes:g} min, loss {recent:.4f}"
            )
            checkpoint.save(elapsed, step)
    checkpoint.save(elapsed, step)
    network.eval()
    return network


def load_mean(folder: Path) -> MeanLatents:
    """The network of a folder's checkpoint, finished or not."""
    network = MeanLatents()
    network.load_state_dict(torch.load(folder / "mean.pt", weights_only=True)["module"])
    network.eval()
    return network
