"""What a form asks for, against the model that is served."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.errors import InvalidRequest
from gateway.routes.form import UpscaleFields
from stages.errors import NoSafetyChecker
from tests.gateway.test_app import MODEL

IMAGE = np.zeros((8, 8, 3), np.uint8)
WITH_CHECKER = replace(MODEL, has_safety_checker=True)


def test_what_is_left_out_is_the_models() -> None:
    inputs = UpscaleFields(prompt="x", num_inference_steps=0).inputs(IMAGE, MODEL)
    assert inputs.num_inference_steps == MODEL.num_inference_steps
    assert inputs.guidance_scale == MODEL.guidance_scale
    assert inputs.noise_level == MODEL.noise_level


def test_zero_is_not_left_out() -> None:
    fields = UpscaleFields(prompt="x", seed=0, guidance_scale=0, noise_level=0)
    inputs = fields.inputs(IMAGE, MODEL)
    assert (inputs.seed, inputs.guidance_scale, inputs.noise_level) == (0, 0, 0)


@pytest.mark.parametrize("name", ["", "EulerDiscrete", "PNDM"])
def test_a_scheduler_is_one_of_the_models(name: str) -> None:
    inputs = UpscaleFields(prompt="x", scheduler=name).inputs(IMAGE, MODEL)
    assert inputs.scheduler == MODEL.schedulers.named(name)
    assert inputs.scheduler_name == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "x" * 11}, "prompt has 11 characters; at most 10 are allowed."),
        ({"negative_prompt": "x" * 11}, "negative_prompt has 11 characters"),
        ({"model_id": "other"}, "pipeline configured with model but called with other."),
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001; at most 1000 are allowed."),
        ({"scale": 2, "width": 9}, "Send scale, or width and height"),
        ({"scale": 2, "height": 9}, "Send scale, or width and height"),
        ({"noise_level": 351}, "noise_level is 351; at most 350 is allowed."),
        ({"scheduler": "DDIM"}, "scheduler is DDIM; this model has EulerDiscrete, PNDM."),
        ({"step_cache": 0}, "step_cache is 0; it must be from 1, which is off, to 1000."),
        ({"step_cache": 1001}, "step_cache is 1001; it must be from 1, which is off, to 1000."),
        ({"step_cache": 2}, "step_cache is 2, and this model was exported without a step cache"),
    ],
)
def test_what_the_model_cannot_do_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{message}"):
        UpscaleFields(**{"prompt": "x", **fields}).check_against(WITH_CHECKER, 10)


def test_a_check_without_a_checker_is_refused_in_the_stages_words() -> None:
    UpscaleFields(prompt="x").check_against(WITH_CHECKER, 10)
    with pytest.raises(InvalidRequest, match=str(NoSafetyChecker())):
        UpscaleFields(prompt="x").check_against(MODEL, 10)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (400, 200)),
        ({"scale": 1}, (100, 50)),
        ({"scale": 2.5}, (250, 125)),
        ({"width": 300}, (300, 150)),
        ({"height": 31}, (62, 31)),
        ({"width": 300, "height": 31}, (62, 31)),
        ({"width": 1}, (1, 1)),
    ],
)
def test_sizes_of_the_result(fields: dict[str, Any], size: tuple[int, int]) -> None:
    assert UpscaleFields(prompt="x", **fields).result_size(100, 50) == size


@pytest.mark.parametrize("name", ["width", "height"])
def test_more_than_the_fourfold_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is 401; of an image of 100 x 100 pixels"):
        UpscaleFields.model_validate({"prompt": "x", name: 401}).result_size(100, 100)


@pytest.mark.parametrize(
    "fields", [{"scale": 0.9}, {"scale": 4.1}, {"width": 0}, {"background": "red"}]
)
def test_what_no_model_can_is_a_wrong_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpscaleFields(prompt="x", **fields)


def test_a_background_is_a_colour() -> None:
    assert UpscaleFields(prompt="x", background="#01fF80").background_colour == (1, 255, 128)
