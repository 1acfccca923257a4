"""A scheduler as numbers, which the export reads off diffusers' object: see export/schedules.py.

With eta 0 and without clipping, DDIM's previous sample is linear in the sample and in the model's
output (Song et al., Denoising Diffusion Implicit Models, 2021, equation 12). So one step is
`a * latents + b * noise_pred`, and a table holds a and b for every step of every number of steps.
The same holds for its estimate of the latents without noise, and for the noise in the image.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Factors = tuple[float, float]


@dataclass(frozen=True)
class Schedule:
    """The steps from noise to a picture, S of them.

    factors: a row each: of the latents and of the UNet's prediction, in the next latents; then of
    both, in the estimate of the latents without noise.
    """

    timesteps: NDArray[np.int64]  # [S]
    factors: NDArray[np.float32]  # [4, S]

    def __len__(self) -> int:
        return len(self.timesteps)

    def denoised_factors(self, step: int) -> Factors:
        """Of the latents and of the prediction before a step, in its estimate."""
        latents, prediction = self.factors[2:, step].tolist()
        return latents, prediction


class Schedules:
    """A `schedules.npz` of the export.

    timesteps int64 [T] and factors float32 [T, 4], in the order of Schedule's: those of one
    step, then those of two, and so on. starts int64 [S + 1]: those of n steps begin at
    starts[n - 1] and end before starts[n]. noise_factors float32 [levels, 2]: of the image and of
    the noise in it.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._timesteps, self._factors = file["timesteps"], file["factors"]
            self._starts, self._noise_factors = file["starts"], file["noise_factors"]

    def schedule_of(self, num_inference_steps: int) -> Schedule:
        """For a number of steps, from 1 to S."""
        start, end = self._starts[num_inference_steps - 1 : num_inference_steps + 1]
        return Schedule(self._timesteps[start:end], self._factors[start:end].T)

    def noise_factors_of(self, noise_level: int) -> Factors:
        """Of the image and of the noise in it, at a level."""
        image, noise = self._noise_factors[noise_level].tolist()
        return image, noise
