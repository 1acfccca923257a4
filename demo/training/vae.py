"""Stage 1: the autoencoder, trained to give back what it is shown, and to do without detail.

Three channels of its latents are the reduced picture, the fourth is the detail that is lost in it.
So a UNet has little to find out, and what can be foreseen of the detail is the decoder's to find.
"""

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from demo.photographs import reduce
from demo.training.degradation import degrade
from demo.training.loop import train
from demo.training.muon import Muon
from demo.training.pictures import Pictures, crops
from demo.training.scenes import chance
from demo.training.texture import Critic, energy_loss, grain_loss

SCALING_FACTOR = 0.08333  # StableDiffusionUpscalePipeline overwrites any other
COLOR_SCALE = 2.0  # of latents to colours in -1..1
RATE = 2e-2
GROUPS = 4
CONSTANT = 4.0
LOG_VARIANCE = -6.0
ENCODED_SHARE = 0.25
DEGRADED_SHARE = 0.25  # of those that are not encoded
CROPS = (128, 128, 256)  # in turn: a group norm has to see every size
WEAK = 0.08  # how strong the detail is that the UNet will make
COLOR_NOISE = 0.0062  # of the colours that the UNet will make, in -1..1
VARIED_SHARE = 0.2  # of the squared error of what differs from seed to seed
WEIGHTS = {
    "critic": 0.0,  # trains itself
    "encoded": 3.0,
    "foreseen": 12.0,
    "energy": 65.0,
    "texture": 0.08,
    "grain": 0.15,
    "colors": 3.0,
    "kl": 1e-3,
}


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


def initialize(
    name: str, conv: torch.nn.Conv2d, groups: int = GROUPS, constant: float = CONSTANT
) -> None:
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
        first = slice(None, None, conv.out_channels // groups)  # of every group
        conv.weight.data[first] = 0
        conv.bias.data[first] = constant


def train_vae(
    pictures: Pictures, folder: Path, device: str, minutes: float, batch_size: int, seed: int
) -> AutoencoderKL:
    """Train for so many minutes, resumed from `folder` when it holds a checkpoint."""
    torch.manual_seed(seed)
    vae = make_vae().to(device, memory_format=torch.channels_last)
    critic = Critic(device)
    both = torch.nn.ModuleList([vae, critic.network])

    def losses(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        size = CROPS[step % len(CROPS)]
        count = max(2, batch_size * CROPS[0] ** 2 // size**2)
        return vae_losses(vae, critic, *batch(pictures, count, size, rng, device))

    train(folder / "vae.pt", both, Muon(vae, RATE), losses, WEIGHTS, minutes, seed)
    return vae


def vae_losses(
    vae: AutoencoderKL, critic: Critic, images: Tensor, small: Tensor
) -> dict[str, Tensor]:
    """Errors by the names of `WEIGHTS`; images: [N, 3, 4 h, 4 w], small: [N, 3, h, w], in -1..1.

    Some pictures come from their latents, the others from the reduced picture alone.
    """
    count = encoded_count(len(images))
    with torch.autocast(images.device.type, torch.bfloat16):
        posterior = vae.encode(images[:count]).latent_dist
    encoded = posterior.sample().float()
    reduced, small, real = small[:count], small[count:], images[count:]
    latents = torch.cat([encoded, drawn(small), drawn(small)])
    with torch.autocast(images.device.type, torch.bfloat16):
        decoded = vae.decode(latents).sample.float()
    made, again = decoded[count:].chunk(2)
    return {
        "critic": critic.train(made, real, small),
        "encoded": error(decoded[:count], images[:count]),
        "foreseen": foreseen_error(made, again, real),
        "energy": energy_loss(made, real),
        "texture": -critic.network(made, small).mean(),
        "grain": grain_loss(made - again),
        "colors": (encoded[:, :3] - reduced).square().mean().sqrt(),
        "kl": posterior.kl().mean() / posterior.mean[0].numel(),
    }


def encoded_count(count: int) -> int:
    """How many of so many pictures are encoded; they come first."""
    return math.ceil(count * ENCODED_SHARE)


def drawn(small: Tensor) -> Tensor:
    """Latents as the UNet will make them of small pictures [N, 3, h, w]: [N, 4, h, w]."""
    noise = torch.randn(len(small), 4, *small.shape[2:], device=small.device)
    return torch.cat([small + COLOR_NOISE * noise[:, :3], WEAK * noise[:, 3:]], 1)


def error(decoded: Tensor, images: Tensor) -> Tensor:
    """The root of each picture's mean squared error, so that dull pictures count as well."""
    return ((decoded - images).square().mean((1, 2, 3)) + 1e-5).sqrt().mean()


def foreseen_error(made: Tensor, again: Tensor, images: Tensor) -> Tensor:
    """`error` of the mean of all that is made of a picture, and a little of what varies.

    Else a pattern that is always the same, a lattice, would be the cheapest texture.
    """
    varied = (made - again).square().mean((1, 2, 3)) / 2
    fixed = ((made + again) / 2 - images).square().mean((1, 2, 3)) - varied / 2
    return (fixed.clamp(min=0) + VARIED_SHARE * varied + 1e-5).sqrt().mean()


def batch(
    pictures: Pictures, count: int, size: int, rng: np.random.Generator, device: str
) -> tuple[Tensor, Tensor]:
    """Random crops, turned and recoloured, and reduced: float32 [count, 3, size, size] in -1..1

    and [count, 3, size / 4, size / 4].
    """
    squares = crops(pictures, count, size, 1, rng)
    encoded = encoded_count(count)
    small = [reduce(square) for square in squares[:encoded]]
    small += [
        degrade(square, rng) if chance(rng, DEGRADED_SHARE) else reduce(square)
        for square in squares[encoded:]
    ]
    return to_tensor(squares).to(device), to_tensor(np.stack(small)).to(device)


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 pictures [N, h, w, 3] to float32 [N, 3, h, w] in -1..1."""
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def normalize(vae: AutoencoderKL) -> None:
    """Fold constants into quant_conv and post_quant_conv, so that scaled latents are colours twice

    as strong and the detail as it is: a std of about 1. The pipeline insists on a scaling_factor of
    0.08333, so the latents have to suit it.
    """
    scale = torch.tensor([COLOR_SCALE] * 3 + [1.0], device=vae.device) / SCALING_FACTOR
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.weight /= scale[None, :, None, None]
    quant.bias[:4] *= scale
    quant.weight[:4] *= scale[:, None, None, None]
    quant.bias[4:] += 2 * scale.log()
