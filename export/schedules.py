"""The numbers of a checkpoint's schedulers, so that serving them needs no diffusers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.limits import MAX_INFERENCE_STEPS


def write_schedules(scheduler: Any, low_res_scheduler: Any, path: Path) -> None:
    """Write `schedules.npz`, as stages/schedules.py reads it.

    scheduler: a `DDIMScheduler` with clip_sample and thresholding off; low_res_scheduler: one with
    diffusers' `add_noise`. A step is linear, so its factors are what the scheduler answers to
    (1, 0) and (0, 1).
    """
    sample, output = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    trained = scheduler.config.num_train_timesteps
    timesteps: list[int] = []
    factors: list[list[float]] = []
    starts = [0]
    known: dict[tuple[int, int], list[float]] = {}
    for steps in range(1, MAX_INFERENCE_STEPS + 1):
        scheduler.set_timesteps(steps)
        # With steps_offset 1, 1000 steps would begin at timestep 1000, where diffusers itself
        # fails: the last one that was trained is 999.
        for timestep in scheduler.timesteps.clamp(max=trained - 1).tolist():
            key = timestep, trained // steps  # DDIM's way to the timestep that follows
            if key not in known:
                step = scheduler.step(output, timestep, sample)
                pairs = torch.cat([step.prev_sample, step.pred_original_sample])
                known[key] = pairs.tolist()
            timesteps.append(timestep)
            factors.append(known[key])
        starts.append(len(timesteps))
    np.savez_compressed(
        path,
        timesteps=np.array(timesteps, np.int64),
        factors=np.array(factors, np.float32),
        starts=np.array(starts, np.int64),
        noise_factors=noise_factors(low_res_scheduler),
    )


def noise_factors(low_res_scheduler: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """By what `add_noise` multiplies an image and its noise: float32 [levels, 2]."""
    levels = torch.arange(low_res_scheduler.config.num_train_timesteps)
    one, zero = torch.ones(len(levels)), torch.zeros(len(levels))
    factors = (low_res_scheduler.add_noise(*pair, levels) for pair in ((one, zero), (zero, one)))
    return torch.stack(list(factors), dim=1).numpy()
