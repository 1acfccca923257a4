"""The UNet's training data: large crops with their latents, encoded once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from demo.degradation import FACTOR, degrade
from demo.pictures import Pictures, crops
from demo.vae import SCALING_FACTOR

CROP = 256


@dataclass(frozen=True)
class Latents:
    """Crops uint8 [N, 256, 256, 3] and their latents, float32 [N, 4, 64, 64] of mean 0, std 1."""

    crops: NDArray[np.uint8]
    latents: Tensor

    def batch(
        self, count: int, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Random squares: latents [count, 4, size, size] and, in -1..1, the small pictures

        [count, 3, size, size] and the originals [count, 3, 4 size, 4 size].
        """
        latents, small, originals = [], [], []
        for index in rng.integers(len(self.crops), size=count):
            top, left = rng.integers(CROP // FACTOR - size + 1, size=2)
            latents.append(self.latents[index, :, top : top + size, left : left + size])
            square = self.crops[index, top * FACTOR :, left * FACTOR :]
            square = np.ascontiguousarray(square[: size * FACTOR, : size * FACTOR])
            originals.append(square)
            small.append(degrade(square, rng))
        return torch.stack(latents), to_tensor(small), to_tensor(originals)


def to_tensor(images: list[NDArray[np.uint8]]) -> Tensor:
    """uint8 pictures [h, w, 3] to float32 [N, 3, h, w] in -1..1."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode(
    vae: AutoencoderKL, pictures: Pictures, count: int, device: str, seed: int, cache: Path
) -> Latents:
    """Encode `count` random crops with a VAE that `normalize` went over; done once."""
    path = cache / f"latents-{count}-{seed}.pt"
    if path.exists():
        stored = torch.load(path, weights_only=True)
        return Latents(stored["crops"].numpy(), stored["latents"])
    rng = np.random.default_rng([seed, 2])
    squares, latents = [], []
    for _ in track(range(count // 8), "latents"):
        batch = crops(pictures, 8, CROP, 1, rng)
        squares.append(batch)
        images = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1
        images = images.to(device, memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            mean = vae.encode(images).latent_dist.mean
        latents.append(mean.float().cpu() * SCALING_FACTOR)
    encoded = Latents(np.concatenate(squares), torch.cat(latents))
    torch.save({"crops": torch.from_numpy(encoded.crops), "latents": encoded.latents}, path)
    return encoded


@torch.no_grad()
def normalize(vae: AutoencoderKL, pictures: Pictures, device: str, seed: int) -> None:
    """Fold constants into quant_conv and post_quant_conv: scaled latents get mean 0 and std 1.

    The pipeline insists on a scaling_factor of 0.08333, so the latents have to suit it.
    """
    rng = np.random.default_rng([seed, 1])
    samples = []
    for _ in range(16):
        images = torch.from_numpy(crops(pictures, 8, CROP, 1, rng)).permute(0, 3, 1, 2)
        samples.append(vae.encode(images.to(device) / 127.5 - 1).latent_dist.mean)
    latents = torch.cat(samples)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * SCALING_FACTOR
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= std[None, :, None, None]
    quant.bias[:4] = (quant.bias[:4] - mean) / std
    quant.weight[:4] /= std[:, None, None, None]
    quant.bias[4:] -= 2 * std.log()


@torch.no_grad()
def importance(vae: AutoencoderKL, latents: Latents) -> Tensor:
    """How much an error in each latent channel shows in the picture, mean 1: [4, 1, 1]."""
    torch.manual_seed(0)
    sample = latents.latents[:8]
    plain = vae.decode(sample / SCALING_FACTOR).sample
    changes = []
    for channel in range(sample.shape[1]):
        changed = sample.clone()
        changed[:, channel] += 0.1 * torch.randn_like(changed[:, channel])
        change = vae.decode(changed / SCALING_FACTOR).sample - plain
        changes.append(change.square().mean())
    shares = torch.stack(changes) / torch.stack(changes).mean()
    return shares.clamp(min=0.3)[:, None, None]
