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


class NotServed(ValueError):
    """Why denoise cannot step a scheduler, as the end of a sentence."""


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
    try:
        served, refused = {described(own): own}, {}
    except NotServed as error:
        raise ExportError(
            f"{where} has the scheduler {type(own).__name__}, which denoise cannot step: {error}."
            " --scheduler sets another."
        ) from error
    for other in NAMES:
        if other == name_of(own):
            continue
        try:
            scheduler = made_of(own, other)
            served[described(scheduler)] = scheduler
        except NotServed as error:
            refused[other] = str(error)
        except Exception as error:  # schedulers refuse options in ways of their own
            refused[other] = f"{type(error).__name__}: {error}"
    return served, refused


def made_of(own: Any, name: str) -> Any:
    """Another scheduler for the same model, as a user of diffusers swaps it in."""
    changes: Mapping[str, Any] = PLMS if name == "PNDM" else {}
    return getattr(diffusers, f"{name}Scheduler").from_config(own.config, **changes)


def name_of(scheduler: Any) -> str:
    """diffusers' class name without "Scheduler"."""
    return type(scheduler).__name__.removesuffix("Scheduler")


def described(scheduler: Any) -> Scheduler:
    """As the stages know it. Raises NotServed."""
    refuse_options(scheduler.config)
    try:
        scheduler.set_timesteps(2)
        calls_of_two = len(scheduler.timesteps)
        schedule = read_schedule(scheduler, PROBE_STEPS)
    except NotLinear as error:
        raise NotServed(str(error)) from error
    except Exception as error:  # schedulers refuse options in ways of their own
        raise NotServed(
            f"its own steps fail in diffusers, {type(error).__name__}: {error}"
        ) from error
    extra_calls = len(schedule) - PROBE_STEPS
    if calls_of_two != 2 + extra_calls:
        raise NotServed("it calls the UNet more than once a step")
    return Scheduler(name_of(scheduler), schedule.history, extra_calls)


def refuse_options(config: Any) -> None:
    """Raises NotServed for those of a scheduler that are known to make it another kind."""
    for option in ("clip_sample", "thresholding"):
        if config.get(option):
            raise NotServed(f"its steps are not linear, with {option} on")
    if config.num_train_timesteps < MAX_INFERENCE_STEPS:
        raise NotServed(
            f"it has {config.num_train_timesteps} timesteps, and a request may ask for"
            f" {MAX_INFERENCE_STEPS} steps"
        )
    if not config.get("skip_prk_steps", True):
        raise NotServed("its first steps call the UNet four times, with skip_prk_steps off")
