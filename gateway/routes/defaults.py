"""What fields mean for the served model: its defaults filled in, and what it cannot do refused."""

from typing import Protocol

from gateway.errors import InvalidRequest
from gateway.estimate.work import Work
from gateway.triton.served_model import ServedModel
from stages.errors import StageError
from stages.limits import MAX_INFERENCE_STEPS
from stages.schedulers import Scheduler
from stages.step_cache import check_interval


def check_steps(steps: int) -> None:
    """Raises InvalidRequest for more than the scheduler has."""
    if steps > MAX_INFERENCE_STEPS:
        raise InvalidRequest(
            f"num_inference_steps is {steps}; at most {MAX_INFERENCE_STEPS} are allowed."
        )


def scheduler_of(name: str, model: ServedModel) -> Scheduler:
    """The model's own for an empty name. Raises InvalidRequest for one that it does not have."""
    try:
        return model.schedulers.named(name)
    except StageError as error:
        raise InvalidRequest(str(error)) from error


def interval_of(asked: int | None, model: ServedModel, default: int = 1) -> int:
    """A request's `step_cache`; default: the server's, where the model has a step cache.

    Raises InvalidRequest for one that it cannot have.
    """
    if asked is None:
        return default if model.step_cache else 1
    try:
        check_interval(asked, model.step_cache)
    except StageError as error:
        raise InvalidRequest(str(error)) from error
    return asked


def filled_in(steps: int, guidance_scale: float | None, model: ServedModel) -> tuple[int, float]:
    """Steps and guidance scale, with the model's defaults: steps below 1 mean the default, too."""
    return (
        steps if steps >= 1 else model.num_inference_steps,
        model.guidance_scale if guidance_scale is None else guidance_scale,
    )


class Asked(Protocol):
    """The fields that a request's work goes by, beside its image."""

    num_inference_steps: int
    guidance_scale: float | None
    scheduler: str
    step_cache: int | None


def work_of(
    asked: Asked, width: int, height: int, model: ServedModel, max_tile: int, step_cache: int
) -> Work:
    """What an image of width x height pixels takes. max_tile, step_cache: the server's.

    Raises InvalidRequest for what the model does not have.
    """
    return Work(
        width,
        height,
        *filled_in(asked.num_inference_steps, asked.guidance_scale, model),
        max_tile,
        scheduler_of(asked.scheduler, model),
        model.step_cache,
        interval_of(asked.step_cache, model, step_cache),
    )
