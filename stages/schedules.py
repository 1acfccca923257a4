"""DDIM as two numbers a step, read off diffusers' scheduler.

Song et al., Denoising Diffusion Implicit Models (2021), equation 12: with eta 0 and without
clipping, the previous sample is linear in the sample and in the model's output. So one step is
`a * latents + b * noise_pred`, and a and b are what the scheduler answers to (1, 0) and (0, 1). The
same holds for its estimate of the latents without noise.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch


@dataclass(frozen=True)
class Schedule:
    """timesteps, and for each the factors of the latents and of the prediction, all [steps].

    denoised_factors: both, for the estimate of the latents without noise.
    """

    timesteps: tuple[int, ...]
    latents_factors: tuple[float, ...]
    prediction_factors: tuple[float, ...]
    denoised_factors: tuple[tuple[float, float], ...]

    def __len__(self) -> int:
        return len(self.timesteps)


class Schedules:
    """The schedules of one diffusers `DDIMScheduler`, made once for each number of steps."""

    def __init__(self, scheduler: Any) -> None:
        config = scheduler.config
        if config.clip_sample or config.thresholding:
            raise ValueError("denoise needs a DDIMScheduler with clip_sample and thresholding off")
        self._scheduler = scheduler
        self.get = lru_cache(maxsize=128)(self._make)

    def _make(self, num_inference_steps: int) -> Schedule:
        scheduler = self._scheduler
        scheduler.set_timesteps(num_inference_steps)
        # With steps_offset 1, 1000 steps would begin at timestep 1000, where diffusers itself
        # fails: the last one that was trained is 999.
        last = scheduler.config.num_train_timesteps - 1
        timesteps = scheduler.timesteps.clamp(max=last).tolist()
        sample, output = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        steps = [scheduler.step(output, t, sample) for t in timesteps]
        factors = [step.prev_sample for step in steps]
        denoised = [step.pred_original_sample for step in steps]
        return Schedule(
            timesteps=tuple(timesteps),
            latents_factors=tuple(float(pair[0]) for pair in factors),
            prediction_factors=tuple(float(pair[1]) for pair in factors),
            denoised_factors=tuple((float(pair[0]), float(pair[1])) for pair in denoised),
        )
