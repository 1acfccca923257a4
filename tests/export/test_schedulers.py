"""Which schedulers a checkpoint is served with, and what is said of the others."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from export.checkpoint import find_checkpoint
from export.errors import ExportError
from export.schedulers import chosen_scheduler, made_of, served_schedulers
from stages.schedulers import NAMES, Scheduler
from tests.stages.schedules_file import CONFIG
from tests.tiny_pipeline import write

DDIM = DDIMScheduler(**CONFIG)


def own(name: str, **changes: Any) -> Any:
    return getattr(diffusers, f"{name}Scheduler").from_config(DDIM.config, **changes)


def test_the_checkpoints_own_comes_first() -> None:
    served, left_out = served_schedulers(own("DPMSolverMultistep", use_karras_sigmas=True), "it")
    assert [scheduler.name for scheduler in served] == [
        "DPMSolverMultistep",
        *(name for name in NAMES if name != "DPMSolverMultistep"),
    ]
    assert left_out == {}
    by_name = {scheduler.name: scheduler for scheduler in served}
    assert by_name["DDIM"] == Scheduler("DDIM", history=0, extra_calls=0)
    assert by_name["PNDM"] == Scheduler("PNDM", history=3, extra_calls=1)
    assert by_name["DPMSolverMultistep"].history == 1
    assert served[by_name["EulerDiscrete"]].config.use_karras_sigmas is True


def test_one_that_is_not_on_the_list_is_served_as_a_checkpoints_own() -> None:
    served, _ = served_schedulers(own("DPMSolverSinglestep"), "it")
    assert [scheduler.name for scheduler in served] == ["DPMSolverSinglestep", *NAMES]


def test_what_does_not_fit_the_model_is_left_out() -> None:
    served, left_out = served_schedulers(own("DDIM", prediction_type="sample"), "it")
    assert "PNDM" not in [scheduler.name for scheduler in served]
    assert "prediction_type given as sample must be one of" in left_out["PNDM"]


@pytest.mark.parametrize(
    ("scheduler", "why"),
    [
        (own("EulerAncestralDiscrete"), "it draws noise, clips, or looks back further"),
        (own("DPMSolverMultistep", algorithm_type="sde-dpmsolver++"), "it draws noise, clips"),
        (own("LCM"), "it draws noise"),
        (own("HeunDiscrete"), "it calls the UNet more than once a step"),
        (own("KDPM2Discrete"), "it calls the UNet more than once a step"),
        (own("PNDM"), "call the UNet four times, with skip_prk_steps off"),
        (own("DDIM", clip_sample=True), "not linear, with clip_sample on"),
        (own("DPMSolverMultistep", thresholding=True), "not linear, with thresholding on"),
        (own("DDIM", num_train_timesteps=500), "500 timesteps, and a request may ask for 1000"),
        (own("UniPCMultistep", solver_type="bh1"), "numbers that are not finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_stepped_is_refused_in_words(scheduler: Any, why: str) -> None:
    kind = type(scheduler).__name__
    with pytest.raises(ExportError, match=f"^it has the scheduler {kind}, .*{why}.*--scheduler"):
        served_schedulers(scheduler, "it")


def test_another_default_is_a_name_or_a_configuration(tmp_path: Path) -> None:
    euler = chosen_scheduler(DDIM, "EulerDiscrete")
    assert dict(euler.config) == dict(made_of(DDIM, "EulerDiscrete").config)
    karras = own("DPMSolverMultistep", use_karras_sigmas=True)
    karras.save_pretrained(tmp_path)
    read = chosen_scheduler(DDIM, str(tmp_path / "scheduler_config.json"))
    assert isinstance(read, DPMSolverMultistepScheduler)
    assert read.config.use_karras_sigmas is True
    with pytest.raises(ExportError, match=r"neither a scheduler_config\.json nor one of DDIM"):
        chosen_scheduler(DDIM, "Heun")
    (tmp_path / "scheduler_config.json").write_text('{"_class_name": "Rm"}')
    with pytest.raises(ExportError, match="is no configuration of a diffusers scheduler: Attr"):
        chosen_scheduler(DDIM, str(tmp_path / "scheduler_config.json"))


def test_a_checkpoint_is_looked_at_before_its_weights(tmp_path: Path) -> None:
    """With the scheduler in its folder, and with another one that is asked for."""
    write(tmp_path / "tiny")
    own("EulerAncestralDiscrete").save_pretrained(tmp_path / "tiny" / "scheduler")
    index = json.loads((tmp_path / "tiny" / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EulerAncestralDiscreteScheduler"]
    (tmp_path / "tiny" / "model_index.json").write_text(json.dumps(index))
    model = str(tmp_path / "tiny")
    with pytest.raises(ExportError, match="has the scheduler EulerAncestralDiscreteScheduler"):
        find_checkpoint(model, None, "none", None)
    checkpoint = find_checkpoint(model, None, "none", None, scheduler="UniPCMultistep")
    assert next(iter(checkpoint.schedulers)).name == "UniPCMultistep"
    assert type(checkpoint.pipeline.scheduler).__name__ == "UniPCMultistepScheduler"
