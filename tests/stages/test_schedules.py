"""Schedules against diffusers' own steps."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from stages.schedules import Schedules
from tests.tiny_pipeline import BETAS


def scheduler(**changes: Any) -> Any:
    config = {"prediction_type": "v_prediction", "clip_sample": False, "set_alpha_to_one": False}
    return DDIMScheduler(**{**BETAS, **config, "steps_offset": 1, **changes})


@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("steps", [1, 5, 20, 75, 999])
def test_a_step_is_diffusers_step(prediction_type: str, steps: int) -> None:
    reference = scheduler(prediction_type=prediction_type)
    schedule = Schedules(scheduler(prediction_type=prediction_type)).get(steps)
    reference.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    assert schedule.timesteps == tuple(reference.timesteps.tolist())
    for index, timestep in enumerate(reference.timesteps):
        sample, output = torch.randn(2, 1, 4, 8, 8, generator=generator)
        step = reference.step(output, timestep, sample)
        expected = step.prev_sample
        actual = (
            schedule.latents_factors[index] * sample + schedule.prediction_factors[index] * output
        )
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
        c, d = schedule.denoised_factors[index]
        denoised = c * sample + d * output
        # With epsilon it is a difference of large numbers, so less exact.
        torch.testing.assert_close(denoised, step.pred_original_sample, rtol=1e-4, atol=1e-4)


def test_a_thousand_steps_stay_within_the_trained_timesteps() -> None:
    schedule = Schedules(scheduler()).get(1000)
    assert len(schedule) == 1000
    assert schedule.timesteps[0] == 999
    assert schedule.timesteps[-1] == 1


def test_a_schedule_is_made_once() -> None:
    schedules = Schedules(scheduler())
    assert schedules.get(20) is schedules.get(20)


@pytest.mark.parametrize("change", [{"clip_sample": True}, {"thresholding": True}])
def test_a_scheduler_that_is_not_linear_is_refused(change: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="clip_sample and thresholding off"):
        Schedules(scheduler(**change))
