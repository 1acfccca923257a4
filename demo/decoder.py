"""Stage 4: the decoder, trained further on what the UNet makes."""

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from demo.checkpoint import Checkpoint
from demo.latents import Latents
from demo.mean import make_low_res_scheduler
from demo.muon import Muon
from demo.unet import make_scheduler
from demo.vae import SCALING_FACTOR, rate, reconstruction_loss

ENERGY_WEIGHT = 3.0
SHARPENING = 0.7
RATE = 3e-3
SIZES = (32, 64)  # of latents, in turn
ENCODED_SHARE = 0.25
Samples = dict[int, tuple[Tensor, Tensor, Tensor]]
console = Console()


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel, text: Tensor, latents: Latents, batches: int, device: str, seed: int
) -> Samples:
    """By size of latents: the UNet's latents, the encoder's, and the originals in -1..1."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 4])
    samples: Samples = {}
    for size in SIZES:
        rows = []
        for _ in track(range(batches), f"samples of {size} x {size}"):
            encoded, small, originals = latents.batch(16 * 32 * 32 // size**2, size, rng)
            steps, level = int(rng.choice([10, 20, 40])), int(60 * rng.uniform() ** 2)
            sampled = denoise(unet, text.to(device), small.to(device), steps, level)
            rows.append((sampled.cpu(), encoded, originals))
        joined = [torch.cat(parts) for parts in zip(*rows, strict=True)]
        samples[size] = (joined[0], joined[1], joined[2])
    return samples


def denoise(
    unet: UNet2DConditionModel, text: Tensor, small: Tensor, steps: int, level: int
) -> Tensor:
    """What the pipeline does between its encoders and its decoder, for a batch."""
    levels = torch.full((len(small),), level, device=small.device)
    images = make_low_res_scheduler().add_noise(small, torch.randn_like(small), levels)
    scheduler = make_scheduler()
    scheduler.set_timesteps(steps, device=small.device)
    noisy = torch.randn(len(small), 4, *small.shape[2:], device=small.device)
    text = text.expand(len(small), -1, -1)
    for step in scheduler.timesteps:
        inputs = torch.cat([noisy, images], 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(small.device.type, torch.bfloat16):
            velocity = unet(inputs, step, text, class_labels=levels, return_dict=False)[0]
        noisy = scheduler.step(velocity.float(), step, noisy).prev_sample
    return noisy


def train_decoder(
    vae: AutoencoderKL, samples: Samples, folder: Path, device: str, minutes: float, seed: int
) -> None:
    """Train the decoder in place for so many minutes; resumes from `folder`."""
    torch.manual_seed(seed)
    vae.to(device, memory_format=torch.channels_last)
    trained = torch.nn.ModuleList([vae.post_quant_conv, vae.decoder])
    optimizer = Muon(trained, RATE)
    checkpoint = Checkpoint(folder / "decoder.pt", trained, optimizer)
    elapsed, step = checkpoint.load()
    rng = np.random.default_rng([seed, 5, step])
    began = time.monotonic() - elapsed
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = rate(RATE, step, elapsed / (60 * minutes))
        latents, originals = (part.to(device) for part in batch(samples, step, rng))
        with torch.autocast(device, torch.bfloat16):
            decoded = vae.decode(latents / SCALING_FACTOR).sample.float()
        error, energy = reconstruction_loss(decoded, originals), energy_loss(decoded, originals)
        optimizer.zero_grad()
        torch.autograd.backward(error + ENERGY_WEIGHT * energy)
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            console.print(
                f"decoder step {step}, {elapsed / 60:.1f} of {minutes:g} min,"
                f" error {error.item():.4f}, energy {energy.item():.4f}"
            )
        if step % 200 == 0:
            checkpoint.save(elapsed, step)
    checkpoint.save(elapsed, step)


def batch(samples: Samples, step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Latents, a quarter of them the encoder's, and originals."""
    size = SIZES[step % len(SIZES)]
    sampled, encoded, originals = samples[size]
    index = torch.from_numpy(rng.integers(len(sampled), size=4 * 32 * 32 // size**2))
    plain = torch.from_numpy(rng.uniform(size=len(index)) < ENCODED_SHARE)[:, None, None, None]
    return torch.where(plain, encoded[index], sampled[index]), originals[index]


def energy_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """How much the strength of fine detail differs, wherever exactly that detail is.

    Mean absolute differences of neighbours in windows of 8 x 8, at two scales.
    """
    loss = torch.zeros((), device=decoded.device)
    for scale in (1, 2):
        strengths = [detail(functional.avg_pool2d(image, scale)) for image in (decoded, images)]
        loss = loss + (strengths[0] - strengths[1]).abs().mean()
    return loss


def detail(image: Tensor) -> Tensor:
    """Local means of the absolute differences along rows, columns and both: [N, 9, h, w]."""
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    both = image[..., 1:, 1:] - image[..., 1:, :-1] - across
    return functional.avg_pool2d(torch.cat([across, down, both], 1).abs(), 8, 4)


@torch.no_grad()
def sharpen(vae: AutoencoderKL, samples: Samples, strength: float, device: str) -> None:
    """Fit the last convolution to a sharper picture with the original's colours.

    The target is the decoder's picture, `strength` times its finest detail and what its blurred
    colours lack of the original's; least squares over a sample of the training pictures.
    """
    convolution = vae.decoder.conv_out
    features: list[Tensor] = []
    hook = convolution.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    size = convolution.in_channels * 9 + 1
    square = torch.zeros(size, size, dtype=torch.float64)
    product = torch.zeros(size, 3, dtype=torch.float64)
    sampled, _, originals = samples[SIZES[-1]]
    for latents, original in zip(sampled[:40, None], originals[:40, None], strict=True):
        features.clear()
        decoded = vae.decode(latents.to(device) / SCALING_FACTOR).sample.cpu()
        fine, coarse = decoded - blur(decoded, 3), blur(original - decoded, 17)
        target = (decoded + strength * fine + coarse)[0].flatten(1)
        patches = functional.unfold(features[0].float().cpu(), 3, padding=1)[0]
        rows = torch.cat([patches, torch.ones(1, patches.shape[1])]).double()
        square += rows @ rows.T
        product += rows @ target.T.double()
    hook.remove()
    fitted = torch.linalg.solve(square + 1e-6 * square.diagonal().mean() * torch.eye(size), product)
    convolution.weight.copy_(fitted[:-1].T.reshape(convolution.weight.shape))
    convolution.bias.copy_(fitted[-1])


def blur(image: Tensor, size: int) -> Tensor:
    """The means of windows of size x size."""
    edges = [size // 2] * 4
    return functional.avg_pool2d(functional.pad(image, edges, "replicate"), size, 1)
