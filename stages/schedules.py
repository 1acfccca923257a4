"""A scheduler as numbers, which the export reads off diffusers' object: see schedule_reader.py.

A linear scheduler's next sample is a weighted sum of its last samples and of the model's last
outputs: DDIM (Song et al., Denoising Diffusion Implicit Models, 2021, equation 12) takes those of
this step, a multistep one of order n those of n steps (Lu et al., DPM-Solver++, 2022; Zhao et al.,
UniPC, 2023). The same holds for its estimate of the latents without noise, and for the noise in the
image.

The samples here are what the UNet gets, after diffusers' `scale_model_input`, whose factors are
part of the weights; so is `init_noise_sigma`.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import InvalidRequest
from stages.schedulers import Scheduler

MAX_HISTORY = 4  # steps that a scheduler may look back on; those of NAMES do on 3 at most
SCHEDULES, CONFIGS = "schedules.npz", "schedulers.json"
KEPT = 32  # schedules that were made here, and what was said in their place
Factors = tuple[float, float]


@dataclass(frozen=True)
class Schedule:
    """The calls of the UNet from noise to a picture, S of them.

    factors: of a step's latents, and of the prediction for them, in what comes after that step and
    in what comes after each of the following ones, as many as the scheduler looks back on.
    denoised: of both, in the estimate of the latents without noise. noise_factor: of noise, in the
    first latents.
    """

    timesteps: NDArray[np.float32]  # [S], fractions where the scheduler has such
    factors: NDArray[np.float32]  # [2, history + 1, S]
    denoised: NDArray[np.float32]  # [2, S]
    noise_factor: float = 1.0

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def history(self) -> int:
        """How many earlier steps a step looks back on."""
        return self.factors.shape[1] - 1

    def denoised_factors(self, step: int) -> Factors:
        """Of the latents and of the prediction before a step, in its estimate."""
        latents, prediction = self.denoised[:, step].tolist()
        return latents, prediction


@dataclass(frozen=True)
class Table:
    """Schedules of one scheduler behind each other: those of steps[i] from starts[i] on."""

    timesteps: NDArray[np.float32]  # [T]
    factors: NDArray[np.float32]  # [2, history + 1, T]
    denoised: NDArray[np.float32]  # [2, T]
    noise_factors: NDArray[np.float64]  # [N]
    steps: NDArray[np.int64]  # [N]
    starts: NDArray[np.int64]  # [N + 1]

    def schedule_of(self, num_inference_steps: int) -> Schedule | None:
        """None for a number of steps that is not here."""
        found = np.flatnonzero(self.steps == num_inference_steps)
        if not len(found):
            return None
        index = int(found[0])
        part = slice(*self.starts[index : index + 2])
        factors = self.factors[:, :, part]
        while factors.shape[1] > 1 and not factors[:, -1].any():  # few steps look back on fewer
            factors = factors[:, :-1]
        return Schedule(
            self.timesteps[part],
            factors,
            self.denoised[:, part],
            float(self.noise_factors[index]),
        )


class Schedules:
    """Those of an export: `schedules.npz`, and the configurations of others in `schedulers.json`.

    The first has the arrays of a Table by scheduler, as "DDIM.timesteps", and noise_factors float32
    [levels, 2]: of the image and of the noise in it. The second has diffusers' configurations, by
    the schedulers' names.
    """

    def __init__(self, folder: Path) -> None:
        self._configs: dict[str, Any] = json.loads((folder / CONFIGS).read_text())
        with np.load(folder / SCHEDULES) as file:
            self._tables = {
                name: Table(**{key: file[f"{name}.{key}"] for key in Table.__annotations__})
                for name in self._configs
            }
            self._noise_factors = file["noise_factors"]
        self._made = lru_cache(KEPT)(self._make)

    def schedule_of(self, num_inference_steps: int, scheduler: Scheduler) -> Schedule:
        """For a number of steps, from 1 to 1000; one that the export did not write is made.

        Raises InvalidRequest where diffusers' scheduler cannot make so many.
        """
        schedule = self._tables[scheduler.name].schedule_of(num_inference_steps)
        if schedule is None:
            made = self._made(scheduler.name, num_inference_steps)
            if isinstance(made, str):
                raise InvalidRequest(made)
            schedule = made
        if len(schedule) != scheduler.calls(num_inference_steps):
            raise InvalidRequest(
                f"num_inference_steps is {num_inference_steps}, for which {scheduler.name} calls"
                f" the UNet {len(schedule)} times; choose another number."
            )
        return schedule

    def noise_factors_of(self, noise_level: int) -> Factors:
        """Of the image and of the noise in it, at a level."""
        image, noise = self._noise_factors[noise_level].tolist()
        return image, noise

    def _make(self, name: str, num_inference_steps: int) -> Schedule | str:
        """What diffusers' scheduler does, or why there is no such schedule, for the caller."""
        from stages.schedule_reader import make_scheduler, read_schedule  # noqa: PLC0415 - torch

        known = ", ".join(map(str, self._tables[name].steps))
        try:
            scheduler = make_scheduler(name, self._configs[name])
        except ImportError as error:
            return (
                f"num_inference_steps is {num_inference_steps}; of {name} this server has {known},"
                f" as its Python has no library to make others: {error}"
            )
        try:
            return read_schedule(scheduler, num_inference_steps)
        except Exception as error:  # schedulers check little, and fail in ways of their own
            return (
                f"num_inference_steps is {num_inference_steps}, which diffusers' {name}Scheduler"
                f" cannot make ({type(error).__name__}: {error}); it can make {known}, for example."
            )
