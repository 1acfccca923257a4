"""A scheduler of diffusers as numbers, read off its own steps; see schedules.py.

What a linear multistep scheduler makes of a step is a weighted sum of the UNet's last inputs and
outputs. It is run once over random numbers, and the weights are those that explain every step: so
nothing here knows how any of them works. One that clips, or draws noise of its own, has no such
weights, and one that looks back further than MAX_HISTORY has none that are kept.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.schedules import MAX_HISTORY, Schedule

# Numbers of a sample here: more than the weights that are looked for, so that no others fit.
SHAPE = (1, 4, 2, 3)
SMALLEST = 1e-11  # singular value, to the largest, of inputs and outputs that tell more than others
EXACT = 1e-9  # what is left unexplained at most, to a step's result; rounding leaves 1e-14

Vector = NDArray[np.float64]


class NotLinear(ValueError):
    """No weights explain the scheduler's steps."""

    def __init__(self) -> None:
        super().__init__(
            f"its steps are not weighted sums of the UNet's last {MAX_HISTORY + 1} inputs and"
            " outputs: it draws noise, clips, or looks back further"
        )


class Exact(torch.Tensor):
    """Stays float64 where schedulers round their sample to float32."""

    def to(self, *_: Any, **__: Any) -> "Exact":
        """Itself."""
        return self


def read_schedule(scheduler: Any, num_inference_steps: int) -> Schedule:
    """What diffusers' scheduler does in so many steps.

    Raises NotLinear, or whatever the scheduler raises where it cannot make them.
    """
    inputs, outputs, noise_factor = run(scheduler, num_inference_steps)
    if not np.isfinite(inputs).all():
        raise ValueError("its steps give numbers that are not finite")
    for history in range(MAX_HISTORY + 1):
        weights = weights_of(inputs, outputs, history)
        if weights is not None:
            break
    else:
        raise NotLinear
    return Schedule(
        timesteps=np.asarray(scheduler.timesteps, np.float32),
        factors=weights.astype(np.float32),
        denoised=denoised_factors(scheduler, scheduler.timesteps).astype(np.float32),
        noise_factor=noise_factor,
    )


def run(scheduler: Any, num_inference_steps: int) -> tuple[list[Vector], list[Vector], float]:
    """The UNet's inputs and outputs in every step, and the factor of noise in the first input.

    After the inputs comes the last sample.
    """
    scheduler.set_timesteps(num_inference_steps)
    if hasattr(scheduler, "set_begin_index"):  # else a first timestep that comes twice is skipped
        scheduler.set_begin_index(0)
    generator = torch.Generator().manual_seed(0)

    def random() -> torch.Tensor:
        return torch.randn(SHAPE, generator=generator, dtype=torch.float64).as_subclass(Exact)

    noise = random()
    sample = noise * scheduler.init_noise_sigma
    if hasattr(scheduler, "get_lms_coefficient"):
        # LMS integrates over products of single sigmas: of Python's numbers ten times as fast.
        scheduler.sigmas = scheduler.sigmas.tolist()
    inputs, outputs = [], []
    for timestep in scheduler.timesteps:
        inputs.append(scheduler.scale_model_input(sample, timestep))
        outputs.append(random())
        sample = scheduler.step(outputs[-1], timestep, sample, return_dict=False)[0]
    noise_factor = float((inputs[0] / noise).flatten()[0])
    vectors = [np.asarray(tensor.flatten()) for tensor in (*inputs, sample, *outputs)]
    return vectors[: len(inputs) + 1], vectors[len(inputs) + 1 :], noise_factor


def weights_of(
    inputs: list[Vector], outputs: list[Vector], history: int
) -> NDArray[np.float64] | None:
    """[2, history + 1, S], as `Schedule.factors`; None where they do not explain every step.

    The smallest ones, where inputs depend on each other and there are several.
    """
    steps = len(outputs)
    weights = np.zeros((2, history + 1, steps))
    for step, result in enumerate(inputs[1:]):
        before = range(min(history, step) + 1)
        columns = [vectors[step - back] for vectors in (inputs, outputs) for back in before]
        matrix = np.stack(columns, axis=1)
        found = np.linalg.lstsq(matrix, result, rcond=SMALLEST)[0]
        if not np.linalg.norm(matrix @ found - result) <= EXACT * np.linalg.norm(result):
            return None
        for back in before:  # in the row of the step that they look back on
            weights[:, back, step - back] = found.reshape(2, -1)[:, back]
    return weights


def denoised_factors(scheduler: Any, timesteps: Any) -> NDArray[np.float64]:
    """By prediction type, the latents without noise at S timesteps: [2, S], as `Schedule.denoised`.

    timesteps: an array or a tensor, of fractions too.
    """
    trained = scheduler.alphas_cumprod.double().numpy()
    squared = np.interp(np.asarray(timesteps), np.arange(len(trained)), trained)
    alpha, sigma = np.sqrt(squared), np.sqrt(1 - squared)
    kind = scheduler.config.prediction_type
    factors = {
        "v_prediction": (alpha, -sigma),
        "epsilon": (1 / alpha, -sigma / alpha),
        "sample": (np.zeros_like(alpha), np.ones_like(alpha)),
    }
    if kind not in factors:
        raise ValueError(f"its prediction_type is {kind}")
    return np.array(factors[kind])


def make_scheduler(name: str, config: dict[str, Any]) -> Any:
    """diffusers' scheduler of a name in schedulers.py, or of another linear one."""
    import diffusers  # noqa: PLC0415 - seconds, for numbers of steps that the export did not write

    return getattr(diffusers, f"{name}Scheduler").from_config(config)
