"""The UNet's training data: large crops with the detail in their latents, encoded once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from demo.degradation import FACTOR, degrade, reduce
from demo.pictures import Pictures, crops
from demo.vae import COLOR_SCALE, SCALING_FACTOR, WEAK, to_tensor

CROP = 256


@dataclass(frozen=True)
class Latents:
    """Crops uint8 [N, 256, 256, 3] and the fourth channel of their latents, [N, 1, 64, 64]."""

    crops: NDArray[np.uint8]
    detail: Tensor

    def batch(
        self, count: int, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Random squares: latents [count, 4, size, size], their detail weak, and, in -1..1,

        the small pictures [count, 3, size, size] and the originals [count, 3, 4 size, 4 size].
        """
        detail, clean, small, originals = [], [], [], []
        for index in rng.integers(len(self.crops), size=count):
            top, left = rng.integers(CROP // FACTOR - size + 1, size=2)
            detail.append(WEAK * self.detail[index, :, top : top + size, left : left + size])
            square = self.crops[index, top * FACTOR :, left * FACTOR :]
            square = np.ascontiguousarray(square[: size * FACTOR, : size * FACTOR])
            originals.append(square)
            clean.append(reduce(square))
            small.append(degrade(square, rng))
        colors = COLOR_SCALE * to_tensor(np.stack(clean))
        latents = torch.cat([colors, torch.stack(detail)], 1)
        return latents, to_tensor(np.stack(small)), to_tensor(np.stack(originals))


@torch.no_grad()
def encode(
    vae: AutoencoderKL, pictures: Pictures, count: int, device: str, seed: int, cache: Path
) -> Latents:
    """Encode `count` random crops with a VAE that `normalize` went over; done once."""
    path = cache / f"latents-{count}-{seed}.pt"
    if path.exists():
        stored = torch.load(path, weights_only=True)
        return Latents(stored["crops"].numpy(), stored["detail"])
    rng = np.random.default_rng([seed, 2])
    squares, detail = [], []
    for _ in track(range(count // 8), "latents"):
        batch = crops(pictures, 8, CROP, 1, rng)
        squares.append(batch)
        with torch.autocast(device, torch.bfloat16):
            mean = vae.encode(to_tensor(batch).to(device)).latent_dist.mean
        detail.append(mean[:, 3:].float().cpu() * SCALING_FACTOR)
    encoded = Latents(np.concatenate(squares), torch.cat(detail))
    torch.save({"crops": torch.from_numpy(encoded.crops), "detail": encoded.detail}, path)
    return encoded


@torch.no_grad()
def normalize(vae: AutoencoderKL, pictures: Pictures, device: str, seed: int) -> None:
    """Fold constants into quant_conv and post_quant_conv: scaled latents get a std of about 1.

    Colours are doubled, detail gets mean 0 and std 1. The pipeline insists on a scaling_factor of
    0.08333, so the latents have to suit it.
    """
    rng = np.random.default_rng([seed, 1])
    images = to_tensor(crops(pictures, 32, CROP, 1, rng)).to(device)
    detail = torch.cat([vae.encode(part).latent_dist.mean[:, 3] for part in torch.split(images, 4)])
    mean = torch.tensor([0, 0, 0, detail.mean()], device=device)
    scale = torch.tensor([COLOR_SCALE] * 3 + [1 / detail.std()], device=device) / SCALING_FACTOR
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight /= scale[None, :, None, None]
    quant.bias[:4] = (quant.bias[:4] - mean) * scale
    quant.weight[:4] *= scale[:, None, None, None]
    quant.bias[4:] += 2 * scale.log()
