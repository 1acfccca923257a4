"""The numbers that the export writes against diffusers' own steps."""

import builtins
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from export.schedules import USUAL_STEPS
from stages.errors import InvalidRequest
from stages.limits import MAX_INFERENCE_STEPS
from stages.schedule_reader import read_schedule
from stages.schedulers import DDIM, Scheduler
from stages.schedules import Schedule
from tests.stages.schedules_file import CONFIG, schedules_of, swapped
from tests.tiny_pipeline import BETAS

SAMPLE, OUTPUT = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
FEW = 30


def scheduler(**changes: Any) -> Any:
    return DDIMScheduler(**{**CONFIG, **changes})


def factors_at(schedule: Schedule, index: int) -> list[float]:
    assert schedule.factors.shape[1] == 1
    factors: list[float] = schedule.factors[:, 0, index].tolist()
    return [*factors, *schedule.denoised_factors(index)]


def test_every_number_of_steps_is_that_of_diffusers() -> None:
    """All timesteps, and the factors of the first, the last and of three more by chance."""
    reference, schedules = scheduler(), schedules_of()
    generator = np.random.default_rng(0)
    for steps in range(1, MAX_INFERENCE_STEPS):
        reference.set_timesteps(steps)
        schedule = schedules.schedule_of(steps, DDIM)
        assert schedule.timesteps.tolist() == reference.timesteps.tolist()
        assert len(schedule) == schedule.factors.shape[2] == schedule.denoised.shape[1] == steps
        assert schedule.noise_factor == 1
        for index in {0, steps - 1, *generator.integers(0, steps, 3).tolist()}:
            step = reference.step(OUTPUT, int(schedule.timesteps[index]), SAMPLE)
            expected = [*step.prev_sample.tolist(), *step.pred_original_sample.tolist()]
            assert factors_at(schedule, index) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"prediction_type": "epsilon"},
        {"prediction_type": "sample"},
        {"timestep_spacing": "trailing", "steps_offset": 0},
        {"timestep_spacing": "linspace", "set_alpha_to_one": True},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_a_step_is_diffusers_step(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.schedules.MAX_INFERENCE_STEPS", FEW)
    reference, schedules = scheduler(**changes), schedules_of(**changes)
    generator = torch.Generator().manual_seed(0)
    for steps in range(1, FEW + 1):
        reference.set_timesteps(steps)
        schedule = schedules.schedule_of(steps, DDIM)
        assert schedule.timesteps.tolist() == reference.timesteps.tolist()
        for index, timestep in enumerate(reference.timesteps):
            sample, output = torch.randn(2, 1, 4, 8, 8, generator=generator)
            step = reference.step(output, timestep, sample)
            a, b, c, d = factors_at(schedule, index)
            actual, denoised = a * sample + b * output, c * sample + d * output
            torch.testing.assert_close(actual, step.prev_sample, rtol=1e-5, atol=1e-5)
            # With epsilon it is a difference of large numbers, so less exact.
            torch.testing.assert_close(denoised, step.pred_original_sample, rtol=1e-4, atol=1e-4)


def test_a_thousand_steps_stay_within_the_trained_timesteps() -> None:
    schedule = schedules_of().schedule_of(1000, DDIM)
    assert len(schedule) == 1000
    assert schedule.timesteps[0] == 999
    assert schedule.timesteps[-1] == 1


def test_the_noise_of_every_level_is_that_of_diffusers() -> None:
    """Bit for bit."""
    reference, schedules = DDPMScheduler(**BETAS), schedules_of()
    generator = torch.Generator().manual_seed(0)
    image, noise = torch.randn(2, 1, 3, 8, 8, generator=generator)
    for level in range(BETAS["num_train_timesteps"]):
        expected = reference.add_noise(image, noise, torch.tensor([level]))
        of_image, of_noise = schedules.noise_factors_of(level)
        assert torch.equal(of_image * image + of_noise * noise, expected), level


@pytest.mark.parametrize("name", ["EulerDiscrete", "PNDM"])
def test_other_schedules_are_written_for_the_usual_steps_and_made_for_others(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, schedules = swapped(name)
    made: list[int] = []

    def read(scheduler: Any, steps: int) -> Schedule:
        made.append(steps)
        return read_schedule(scheduler, steps)

    monkeypatch.setattr("stages.schedule_reader.read_schedule", read)
    for steps in (*USUAL_STEPS, 37, 37):
        schedule = schedules.schedule_of(steps, served)
        assert len(schedule) == served.calls(steps)
        assert schedule.history <= served.history
    assert made == [37], "once"
    written, again = schedules.schedule_of(20, served), schedules._make(name, 20)
    assert isinstance(again, Schedule)
    for array in ("timesteps", "factors", "denoised"):
        assert np.array_equal(getattr(written, array), getattr(again, array))
    assert written.noise_factor == again.noise_factor


def test_a_number_that_diffusers_cannot_make_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    served, schedules = swapped("PNDM")
    with pytest.raises(InvalidRequest):
        schedules.schedule_of(1000, served)
    monkeypatch.setattr("stages.schedule_reader.make_scheduler", None)  # it is not tried again
    with pytest.raises(InvalidRequest, match=r"is 1000, which diffusers' PNDMScheduler cannot"):
        schedules.schedule_of(1000, served)


def test_without_diffusers_the_usual_steps_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *arguments: Any) -> Any:
        if name == "diffusers":
            raise ImportError("No module named 'diffusers'")
        return imported(name, *arguments)

    served, schedules = swapped("EulerDiscrete")
    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert len(schedules.schedule_of(25, served)) == 25
    with pytest.raises(InvalidRequest, match="is 11; of EulerDiscrete this server has 1, 10, 15"):
        schedules.schedule_of(11, served)


def test_a_schedule_of_more_calls_than_were_planned_is_refused() -> None:
    _, schedules = swapped("PNDM")
    with pytest.raises(InvalidRequest, match="is 20, for which PNDM calls the UNet 21 times"):
        schedules.schedule_of(20, Scheduler("PNDM", history=4, extra_calls=0))
