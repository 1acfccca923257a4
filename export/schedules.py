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
from stages.schedule_reader import read_schedule
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
    """Of every number of steps: where steps are as long, DDIM's are the same.

    scheduler: with clip_sample and thresholding off. A step's factors are what the scheduler
    answers to (1, 0) and (0, 1).
    """
    sample, output = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    trained = scheduler.config.num_train_timesteps
    known: dict[tuple[int, int], list[float]] = {}
    schedules = {}
    for steps in range(1, MAX_INFERENCE_STEPS + 1):
        scheduler.set_timesteps(steps)
        # With steps_offset 1, 1000 steps would begin at timestep 1000, where diffusers itself
        # fails: the last one that was trained is 999.
        timesteps = scheduler.timesteps.clamp(max=trained - 1).tolist()
        factors = []
        for timestep in timesteps:
            key = timestep, trained // steps  # DDIM's way to the timestep that follows
            if key not in known:
                step = scheduler.step(output, timestep, sample)
                known[key] = torch.cat([step.prev_sample, step.pred_original_sample]).tolist()
            factors.append(known[key])
        columns = np.array(factors, np.float32).T
        schedules[steps] = Schedule(np.array(timesteps, np.float32), columns[:2, None], columns[2:])
    return schedules


def noise_factors(low_res_scheduler: Any) -> NDArray[np.float32]:
    """By what `add_noise` multiplies an image and its noise: float32 [levels, 2]."""
    levels = torch.arange(low_res_scheduler.config.num_train_timesteps)
    one, zero = torch.ones(len(levels)), torch.zeros(len(levels))
    factors = (low_res_scheduler.add_noise(*pair, levels) for pair in ((one, zero), (zero, one)))
    return torch.stack(list(factors), dim=1).numpy()
