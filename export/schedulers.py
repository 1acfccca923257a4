"""Which schedulers a repository serves: the checkpoint's own, and what else its numbers fit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers

from export.errors import ExportError
from stages.limits import MAX_INFERENCE_STEPS
from stages.schedule_reader import NotLinear, make_scheduler, read_schedule
from stages.schedulers import NAMES, Scheduler

PROBE_STEPS = 20  # enough for the longest history
# PNDM's first steps are Runge-Kutta's, four calls of the UNet each, unless this leaves them out.
PLMS = {"skip_prk_steps": True}


def chosen_scheduler(own: Any, wanted: str | None) -> Any:
    """diffusers' scheduler that is to be the default.

    own: the checkpoint's. wanted: None for that, a name of stages/schedulers.py, or the path of a
    scheduler_config.json. Raises ExportError.
    """
    if wanted is None:
        return own
    if wanted in NAMES:
        return made_of(own, wanted)
    path = Path(wanted)
    if not path.is_file():
        raise ExportError(
            f"--scheduler {wanted} is neither a scheduler_config.json nor one of"
            f" {', '.join(NAMES)}."
        )
    try:
        config = json.loads(path.read_text())
        return make_scheduler(config["_class_name"].removesuffix("Scheduler"), config)
    except Exception as error:  # a foreign file may have anything in it
        raise ExportError(
            f"{path} is no configuration of a diffusers scheduler: {type(error).__name__}: {error}"
        ) from error


def served_schedulers(own: Any, where: object) -> tuple[dict[Scheduler, Any], dict[str, str]]:
    """The schedulers that denoise can step, the default first; and why others are left out.

    where: the scheduler is from, for the error. Raises ExportError when the default cannot be.
    """
    name = name_of(own)
    if why := refusal(own):
        raise ExportError(
            f"{where} has the scheduler {type(own).__name__}, which denoise cannot step: {why}."
            " --scheduler sets another."
        )
    served, refused = {described(own): own}, {}
    for other in NAMES:
        if other == name:
            continue
        try:
            scheduler = made_of(own, other)
        except Exception as error:  # schedulers refuse options in ways of their own
            refused[other] = f"{type(error).__name__}: {error}"
            continue
        if why := refusal(scheduler):
            refused[other] = why
        else:
            served[described(scheduler)] = scheduler
    return served, refused


def made_of(own: Any, name: str) -> Any:
    """Another scheduler for the same model, as a user of diffusers swaps it in."""
    changes: Mapping[str, Any] = PLMS if name == "PNDM" else {}
    return getattr(diffusers, f"{name}Scheduler").from_config(own.config, **changes)


def name_of(scheduler: Any) -> str:
    """diffusers' class name without "Scheduler"."""
    return type(scheduler).__name__.removesuffix("Scheduler")


def described(scheduler: Any) -> Scheduler:
    """As the stages know it; the scheduler is one without a refusal."""
    schedule = read_schedule(scheduler, PROBE_STEPS)
    return Scheduler(name_of(scheduler), schedule.history, len(schedule) - PROBE_STEPS)


def refusal(scheduler: Any) -> str | None:
    """Why denoise cannot step it, as the end of a sentence; None where it can."""
    config = scheduler.config
    for option in ("clip_sample", "thresholding"):
        if config.get(option):
            return f"its steps are not linear, with {option} on"
    if config.num_train_timesteps < MAX_INFERENCE_STEPS:
        return (
            f"it has {config.num_train_timesteps} timesteps, and a request may ask for"
            f" {MAX_INFERENCE_STEPS} steps"
        )
    if not config.get("skip_prk_steps", True):
        return "its first steps call the UNet four times, with skip_prk_steps off"
    return failure(scheduler)


def failure(scheduler: Any) -> str | None:
    """What becomes of a picture that is made with it, as `refusal`."""
    try:
        scheduler.set_timesteps(2)
        calls_of_two = len(scheduler.timesteps)
        extra_calls = described(scheduler).extra_calls
    except NotLinear as error:
        return str(error)
    except Exception as error:  # schedulers refuse options in ways of their own
        return f"its own steps fail in diffusers, {type(error).__name__}: {error}"
    return None if calls_of_two == 2 + extra_calls else "it calls the UNet more than once a step"
