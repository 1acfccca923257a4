"""The numbers of a checkpoint's schedulers, so that serving them needs no diffusers."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray

from stages.limits import MAX_INFERENCE_STEPS
from stages.schedule_reader import denoised_factors, read_schedule
from stages.schedules import CONFIGS, SCHEDULES, Schedule, Table

# One step is that of a server's trials. Others are made when they are asked for.
USUAL_STEPS = (1, 10, 15, 20, 25, 30, 50, 75)


def write_schedules(schedulers: dict[str, Any], low_res_scheduler: Any, folder: Path) -> None:
    """Write what stages/schedules.py reads.

    schedulers: diffusers' by their names; low_res_scheduler: one with diffusers' `add_noise`.
    """
    arrays: dict[str, NDArray[Any]] = {"noise_factors": noise_factors(low_res_scheduler)}
    for name, scheduler in schedulers.items():
        if isinstance(scheduler, DDIMScheduler):
            schedules = ddim_schedules(scheduler)
        else:
            schedules = {steps: read_schedule(scheduler, steps) for steps in USUAL_STEPS}
        for key, array in vars(table_of(schedules)).items():
            arrays[f"{name}.{key}"] = array
    np.savez_compressed(folder / SCHEDULES, **arrays)
    configs = {name: json.loads(it.to_json_string()) for name, it in schedulers.items()}
    (folder / CONFIGS).write_text(json.dumps(configs, indent=2) + "\n")


def table_of(schedules: dict[int, Schedule]) -> Table:
    """Schedules by their numbers of steps, behind each other."""
    parts = list(schedules.values())
    lengths = [len(part) for part in parts]
    return Table(
        timesteps=np.concatenate([part.timesteps for part in parts]),
        factors=joined_factors(part.factors for part in parts),
        denoised=np.concatenate([part.denoised for part in parts], axis=1),
        noise_factors=np.array([part.noise_factor for part in parts]),
        steps=np.array(list(schedules), np.int64),
        starts=np.cumsum([0, *lengths]),
    )


def joined_factors(factors: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """[2, history + 1, S] each, to those of the longest history."""
    parts = list(factors)
    length = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))) for part in parts], axis=2
    )


def ddim_schedules(scheduler: Any) -> dict[int, Schedule]:
    """Of every number of steps, by Song et al. (2021), equation 12 without its noise.

    scheduler: with clip_sample and thresholding off.
    """
    trained = scheduler.config.num_train_timesteps
    every = {}
    for steps in range(1, MAX_INFERENCE_STEPS + 1):
        scheduler.set_timesteps(steps)
        # With steps_offset 1, 1000 steps would begin at timestep 1000, where diffusers itself
        # fails: the last one that was trained is 999.
        every[steps] = scheduler.timesteps.clamp(max=trained - 1).numpy()
    timesteps = np.concatenate(list(every.values()))
    following = timesteps - np.concatenate([[trained // steps] * steps for steps in every])
    alphas = scheduler.alphas_cumprod.double().numpy()
    alpha = alphas[timesteps]
    next_alpha = np.where(following < 0, float(scheduler.final_alpha_cumprod), alphas[following])
    denoised = denoised_factors(scheduler, timesteps)
    # The noise in the latents is what they hold beside their estimate.
    of_noise = np.sqrt((1 - next_alpha) / (1 - alpha))
    of_denoised = np.sqrt(next_alpha) - of_noise * np.sqrt(alpha)
    factors = of_denoised * denoised + [of_noise, np.zeros_like(of_noise)]
    schedules = {}
    for steps, last in zip(every, np.cumsum(list(every)), strict=True):
        part = slice(last - steps, last)
        schedules[steps] = Schedule(
            timesteps[part].astype(np.float32),
            factors[:, None, part].astype(np.float32),
            denoised[:, part].astype(np.float32),
        )
    return schedules


def noise_factors(low_res_scheduler: Any) -> NDArray[np.float32]:
    """By what `add_noise` multiplies an image and its noise: float32 [levels, 2]."""
    levels = torch.arange(low_res_scheduler.config.num_train_timesteps)
    one, zero = torch.ones(len(levels)), torch.zeros(len(levels))
    factors = (low_res_scheduler.add_noise(*pair, levels) for pair in ((one, zero), (zero, one)))
    return torch.stack(list(factors), dim=1).numpy()
