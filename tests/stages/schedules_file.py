"""The numbers of schedulers as the export writes them, made once for all tests."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler

from export.schedulers import described, made_of, name_of
from export.schedules import write_schedules
from stages.schedulers import Scheduler
from stages.schedules import Schedules
from tests.tiny_pipeline import BETAS

CONFIG: dict[str, Any] = {
    **BETAS,
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@cache
def schedules_of(**changes: Any) -> Schedules:
    """DDIM's as the denoise stage reads them; changes: of the scheduler's configuration."""
    return written(DDIMScheduler(**{**CONFIG, **changes}))


@cache
def swapped(name: str) -> tuple[Scheduler, Schedules]:
    """Another scheduler of the same configuration, and its numbers."""
    scheduler = made_of(DDIMScheduler(**CONFIG), name)
    return described(scheduler), written(scheduler)


def written(scheduler: Any) -> Schedules:
    """What an export with this scheduler alone has."""
    with tempfile.TemporaryDirectory() as folder:
        write_schedules({name_of(scheduler): scheduler}, DDPMScheduler(**BETAS), Path(folder))
        return Schedules(Path(folder))
