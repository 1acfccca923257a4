"""Stage 3: the UNet, trained to turn noise into latents that fit a low-resolution picture."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from rich.console import Console
from torch import Tensor

from demo.checkpoint import Checkpoint
from demo.latents import Latents
from demo.mean import BETAS, MeanLatents, make_low_res_scheduler, random_levels
from demo.muon import Muon
from demo.vae import rate

TEXT_WIDTH = 32
RATE = 1e-2
SIZES = (32, 64)  # of latents, in turn
EMA_DECAY = 0.998
DETAIL = 0.3  # how much of what cannot be known from the small picture is made up
console = Console()


def make_scheduler() -> DDIMScheduler:
    """The x4 upscaler's."""
    return DDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def make_unet() -> UNet2DConditionModel:
    """The x4 upscaler's blocks, narrow; noise levels start as waves, so neighbours are alike.

    A group norm takes the strength of its group away, and with it brightness and colour: so there
    is one group. The time scales features too, since a small network cannot learn to multiply.
    """
    unet = UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        num_class_embeds=1000,
        block_out_channels=(48, 64, 80, 128),
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        layers_per_block=1,
        norm_num_groups=1,
        resnet_time_scale_shift="scale_shift",
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
        only_cross_attention=(True, True, True, False),
        use_linear_projection=True,
        sample_size=128,
    )
    levels = unet.class_embedding.weight
    levels.data = get_timestep_embedding(torch.arange(1000), levels.shape[1])
    levels.requires_grad_(False)
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Conv2d) and name.endswith(("conv2", "conv_out")):
            torch.nn.init.zeros_(module.weight)
    return unet


class Diffusion:
    """Noise, targets and predictions of one training step."""

    def __init__(self, text: Tensor, mean: MeanLatents, weights: Tensor, device: str) -> None:
        """text: what the text encoder gives for any prompt, [1, 77, width];

        mean: what can be foreseen; weights: of the latent channels, [4, 1, 1].
        """
        self._mean = mean.to(device)
        self._weights = weights.to(device)
        self._text = text[:, :1].to(device)  # attention to 77 equal tokens is that to one
        self._device = device
        self._scheduler = make_scheduler()
        self._low_res = make_low_res_scheduler()

    def loss(self, unet: UNet2DConditionModel, latents: Tensor, images: Tensor) -> Tensor:
        """Mean squared error of v, for latents drawn towards what can be foreseen."""
        count = len(latents)
        levels = random_levels(count, self._device)
        images = self._low_res.add_noise(images, torch.randn_like(images), levels)
        noise, steps = torch.randn_like(latents), torch.randint(1000, (count,), device=self._device)
        with torch.no_grad():
            mean = self._mean(images, levels)
        latents = mean + DETAIL * (latents - mean)
        noisy = self._scheduler.add_noise(latents, noise, steps)
        target = self._scheduler.get_velocity(latents, noise, steps)
        error = self.predict(unet, noisy, images, steps, levels) - target
        return torch.as_tensor((self._weights * error.square()).mean())

    def predict(
        self,
        unet: UNet2DConditionModel,
        noisy: Tensor,
        images: Tensor,
        steps: Tensor,
        levels: Tensor,
    ) -> Tensor:
        sample = torch.cat([noisy, images], 1).contiguous(memory_format=torch.channels_last)
        text = self._text.expand(len(sample), -1, -1)
        with torch.autocast(self._device, torch.bfloat16):
            prediction = unet(sample, steps, text, class_labels=levels, return_dict=False)[0]
        return torch.as_tensor(prediction).float()


def train_unet(
    latents: Latents,
    text: Tensor,
    mean: MeanLatents,
    weights: Tensor,
    folder: Path,
    device: str,
    minutes: float,
    batch_size: int,
    seed: int,
) -> UNet2DConditionModel:
    """Train for so many minutes; resumes from `folder`. Returns the moving average."""
    torch.manual_seed(seed)
    unet = make_unet().to(device, memory_format=torch.channels_last)
    both = torch.nn.ModuleList([unet, copy.deepcopy(unet)])
    average = both[1]
    optimizer = Muon(unet, RATE)
    checkpoint = Checkpoint(folder / "unet.pt", both, optimizer)
    elapsed, step = checkpoint.load()
    rng = np.random.default_rng([seed, step])
    diffusion = Diffusion(text, mean, weights, device)
    began, losses = time.monotonic() - elapsed, []
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = rate(RATE, step, elapsed / (60 * minutes))
        size = SIZES[step % len(SIZES)]
        batch = latents.batch(batch_size * SIZES[0] ** 2 // size**2, size, rng)
        loss = diffusion.loss(unet, *(part.to(device) for part in batch[:2]))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        step += 1
        update(average, unet, min(EMA_DECAY, 1 - 10 / (step + 10)))
        losses.append(loss.item())
        if step % 50 == 0:
            recent = math.fsum(losses[-200:]) / len(losses[-200:])
            console.print(
                f"unet step {step}, {elapsed / 60:.1f} of {minutes:g} min, loss {recent:.4f}"
            )
        if step % 500 == 0:
            checkpoint.save(elapsed, step)
    checkpoint.save(elapsed, step)
    return average


def load_average(folder: Path) -> UNet2DConditionModel:
    """The moving average in a folder's checkpoint, finished or not."""
    both = torch.nn.ModuleList([make_unet(), make_unet()])
    both.load_state_dict(torch.load(folder / "unet.pt", weights_only=True)["module"])
    average: UNet2DConditionModel = both[1]
    return average.eval()


@torch.no_grad()
def update(average: torch.nn.Module, module: torch.nn.Module, decay: float) -> None:
    """Move every weight of the average a little towards the module's."""
    for mean, weight in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
