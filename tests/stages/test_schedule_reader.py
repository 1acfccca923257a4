"""Steps by the numbers that are read off a scheduler, against the scheduler's own."""

from collections.abc import Sequence
from typing import Any

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler

from stages.schedule_reader import NotLinear, read_schedule
from stages.schedules import Schedule
from tests.stages.schedules_file import CONFIG

STEPS = (1, 2, 5, 20, 50)
EVERY = [
    ("v_prediction", STEPS),
    ("epsilon", (2, 20)),
    ("sample", (2, 20)),
    *(pytest.param(kind, (1, 5, 50), marks=pytest.mark.long) for kind in ("epsilon", "sample")),
]
DPM = "DPMSolverMultistep"
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("DDIM", {}),
    ("EulerDiscrete", {}),
    ("EulerDiscrete", {"use_karras_sigmas": True}),
    ("EulerDiscrete", {"timestep_spacing": "leading"}),
    ("EulerDiscrete", {"timestep_spacing": "trailing"}),
    ("EulerDiscrete", {"final_sigmas_type": "sigma_min"}),
    ("PNDM", {"skip_prk_steps": True}),
    ("PNDM", {"skip_prk_steps": True, "timestep_spacing": "trailing"}),
    ("LMSDiscrete", {}),
    ("LMSDiscrete", {"use_karras_sigmas": True}),
    *((DPM, {"solver_order": order}) for order in (1, 2, 3)),
    (DPM, {"solver_type": "heun"}),
    (DPM, {"solver_order": 3, "use_karras_sigmas": True}),
    (DPM, {"use_karras_sigmas": True}),
    (DPM, {"use_lu_lambdas": True}),
    (DPM, {"final_sigmas_type": "sigma_min"}),
    (DPM, {"euler_at_final": True}),
    (DPM, {"timestep_spacing": "leading"}),
    (DPM, {"timestep_spacing": "trailing"}),
    *(("UniPCMultistep", {"solver_order": order}) for order in (1, 2, 3)),
    ("UniPCMultistep", {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}),
    ("UniPCMultistep", {"use_karras_sigmas": True}),
    ("UniPCMultistep", {"predict_x0": False, "final_sigmas_type": "sigma_min"}),
    ("UniPCMultistep", {"disable_corrector": [0, 1]}),
    *(("DEISMultistep", {"solver_order": order}) for order in (1, 2, 3)),
    ("DEISMultistep", {"use_karras_sigmas": True}),
    ("DPMSolverSinglestep", {}),
]


def scheduler_of(name: str, **changes: Any) -> Any:
    """As a user of diffusers swaps it in."""
    kind = getattr(diffusers, f"{name}Scheduler")
    return kind.from_config(DDIMScheduler(**CONFIG).config, **changes)


def by_diffusers(
    scheduler: Any, noise: torch.Tensor, outputs: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """What the UNet gets, and the last latents, as in the loop of its pipelines."""
    latents = noise * scheduler.init_noise_sigma
    inputs = []
    for timestep, noise_pred in zip(scheduler.timesteps, outputs, strict=True):
        inputs.append(scheduler.scale_model_input(latents, timestep))
        latents = scheduler.step(noise_pred, timestep, latents, return_dict=False)[0]
    return [*inputs, latents]


def by_numbers(
    schedule: Schedule, noise: torch.Tensor, outputs: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """The same, as in stages/prediction.py, of one job."""
    of_latents, of_prediction = (torch.from_numpy(factors) for factors in schedule.factors)
    inputs = [noise * schedule.noise_factor]
    waiting = [torch.zeros_like(noise) for _ in of_latents]
    for step, noise_pred in enumerate(outputs):
        latents, *waiting = (
            b[step] * noise_pred + a[step] * inputs[-1] + before
            for a, b, before in zip(of_latents, of_prediction, waiting, strict=True)
        )
        waiting.append(torch.zeros_like(noise))
        inputs.append(latents)
    return inputs


@pytest.mark.parametrize(("prediction_type", "numbers"), EVERY, ids=str)
@pytest.mark.parametrize(("name", "changes"), OPTIONS, ids=str)
def test_every_step_is_that_of_diffusers(
    name: str, changes: dict[str, Any], prediction_type: str, numbers: tuple[int, ...]
) -> None:
    if (name, prediction_type) == ("PNDM", "sample"):
        with pytest.raises(ValueError, match="must be one of `epsilon` or `v_prediction`"):
            read_schedule(scheduler_of(name, prediction_type=prediction_type, **changes), 5)
        return
    scheduler = scheduler_of(name, prediction_type=prediction_type, **changes)
    generator = torch.Generator().manual_seed(0)
    for steps in numbers:
        schedule = read_schedule(scheduler, steps)
        scheduler.set_timesteps(steps)
        assert schedule.timesteps.tolist() == scheduler.timesteps.float().tolist()
        noise, *outputs = torch.randn(1 + len(schedule), 1, 4, 8, 8, generator=generator)
        expected = by_diffusers(scheduler, noise, outputs)
        actual = by_numbers(schedule, noise, outputs)
        for one, other in zip(actual, expected, strict=True):
            assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max()), steps


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("EulerAncestralDiscrete", {}),
        (DPM, {"algorithm_type": "sde-dpmsolver++"}),
        ("LCM", {}),
        ("DDPM", {}),
        ("DDIM", {"clip_sample": True}),
        (DPM, {"thresholding": True}),
    ],
    ids=str,
)
def test_noise_and_clipping_are_found(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(NotLinear, match="it draws noise, clips, or looks back further"):
        read_schedule(scheduler_of(name, **changes), 20)


def test_steps_that_end_in_no_number_are_told() -> None:
    """As this option of diffusers' own does, where the last sigma is 0."""
    with pytest.raises(ValueError, match="its steps give numbers that are not finite"):
        read_schedule(scheduler_of("UniPCMultistep", solver_type="bh1"), 5)
