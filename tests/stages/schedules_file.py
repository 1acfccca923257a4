"""The numbers of a scheduler as the export writes them, made once for all tests."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler

from export.schedules import write_schedules
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
    """As the denoise stage reads them; changes: of the scheduler's configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "schedules.npz")
        write_schedules(DDIMScheduler(**{**CONFIG, **changes}), DDPMScheduler(**BETAS), path)
        return Schedules(path)
