"""runners.json by go-livepeer's rules."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.livepeer import Gpu, PriceInfo, Runner, Runners, gpu_of, runner_of
from gateway.schemas import Model, Version

FULL_SIZE = Model(
    model_id="stabilityai/stable-diffusion-x4-upscaler",
    num_inference_steps=75,
    guidance_scale=9.0,
    noise_level=20,
    max_noise_level=350,
    has_safety_checker=True,
    prompt_has_effect=True,
    schedulers=["DDIM"],
    input_formats=["jpeg", "png", "webp", "gif", "bmp", "tiff"],
    max_input_pixels=1024 * 1024,
    max_fit_pixels=25_000_000,
    max_body_bytes=10_000_000,
    max_in_progress=8,
    max_waiting=56,
)
GPU = Gpu(id="GPU-1", name="NVIDIA H100", vram_mb=81_559)


def runner(**changes: Any) -> Runner:
    given: dict[str, Any] = {
        "url": "http://10.0.0.2:8000/",
        "label": "upscale",
        "model": FULL_SIZE,
        "version": Version(pipeline="upscale", model_id=FULL_SIZE.model_id, version="0.1.0"),
        "gpu": GPU,
        "max_pixels": 1024 * 1024,
        "capacity": None,
        "price": PriceInfo(price=0.002),
    }
    return runner_of(**{**given, **changes})


def test_the_file_of_a_full_size_model() -> None:
    [entry] = json.loads(Runners(runners=[runner()]).text())["runners"]
    metadata = json.loads(entry.pop("metadata"))
    assert entry == {
        "label": "upscale",
        "routing": "label",
        "proxy": False,
        "runner_url": "http://10.0.0.2:8000/upscale",
        "health_url": "http://10.0.0.2:8000/health",
        "healthy_status_code": 200,
        "app": "upscale/stabilityai/stable-diffusion-x4-upscaler",
        "version": "0.1.0",
        "mode": "single-shot",
        "capacity": 8,
        "gpu": {"id": "GPU-1", "name": "NVIDIA H100", "vram_mb": 81_559},
        "price_info": {"price": 0.002, "currency": "usd", "unit": "fixed"},
    }
    assert metadata["max_input_pixels"] == 1024 * 1024
    assert metadata["scale"] == 4
    assert metadata["price"] == "0.002 usd a picture, whatever its size"


@pytest.mark.parametrize(
    ("unit", "words"),
    [("fixed", "a picture, whatever its size"), ("hour", "an hour"), ("720p", "for 720p")],
)
def test_the_price_in_words(unit: str, words: str) -> None:
    price = PriceInfo.model_validate({"price": 1.5, "unit": unit})
    assert json.loads(runner(price=price).metadata)["price"] == f"1.5 usd {words}"


def test_without_a_gpu_there_is_none() -> None:
    [entry] = json.loads(Runners(runners=[runner(gpu=gpu_of({}))]).text())["runners"]
    assert "gpu" not in entry


def test_the_gpu_is_the_drivers_first() -> None:
    info = {"0": {"id": "GPU-1", "name": "NVIDIA H100", "memory_total": 81_559 * 2**20}}
    assert gpu_of({**info, "1": {"id": "GPU-2", "name": "other"}}) == GPU


DEMO = FULL_SIZE.model_copy(
    update={"model_id": "demo", "guidance_scale": 1.0, "has_safety_checker": False}
)
ENTRIES = {"full size": runner().model_dump(), "demo": runner(model=DEMO, gpu=None).model_dump()}
REFUSED: dict[str, dict[str, Any]] = {
    "no label": {"label": ""},
    "a label that is not trimmed": {"label": " upscale"},
    "a label with a slash": {"label": "a/b"},
    "another routing": {"routing": "name"},
    "no runner_url": {"runner_url": ""},
    "a runner_url without a scheme": {"runner_url": "host:8000"},
    "a runner_url of another scheme": {"runner_url": "grpc://host"},
    "a health_url without a host": {"health_url": "http:///health"},
    "no status": {"healthy_status_code": 600},
    "no app": {"app": ""},
    "an app that is not trimmed": {"app": "upscale "},
    "another mode": {"mode": "batch"},
    "no capacity": {"capacity": 0},
    "metadata of too many bytes": {"metadata": "ä" * 513},
    "no price": {"price_info": {"price": 0}},
    "a negative price": {"price_info": {"price": -1}},
    "a price that is no number": {"price_info": {"price": "nan"}},
    "another currency": {"price_info": {"price": 1, "currency": "eur"}},
    "another unit": {"price_info": {"price": 1, "unit": "pixel"}},
}


@pytest.mark.parametrize("size", ENTRIES)
@pytest.mark.parametrize("name", REFUSED)
def test_what_go_livepeer_refuses_is_refused(size: str, name: str) -> None:
    entry = ENTRIES[size]
    Runner.model_validate(entry)
    with pytest.raises(ValidationError):
        Runner.model_validate({**entry, **REFUSED[name]})


def test_a_label_may_have_a_slash_where_it_is_no_route() -> None:
    assert (
        Runner.model_validate({**ENTRIES["demo"], "label": "a/b", "routing": "runner-id"}).label
        == "a/b"
    )


def test_metadata_may_have_every_byte() -> None:
    assert Runner.model_validate({**ENTRIES["demo"], "metadata": "ä" * 512})


def test_a_label_is_there_once() -> None:
    with pytest.raises(ValidationError, match="once"):
        Runners(runners=[runner(), runner()])


@pytest.mark.parametrize("capacity", [0, -1, 65])
def test_capacity_is_never_above_what_the_server_takes(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"capacity is {capacity}; .* from 1 to 64 requests"):
        runner(capacity=capacity)
    assert runner(capacity=64).capacity == 64


def test_a_model_whose_name_is_too_long_for_metadata_is_refused() -> None:
    with pytest.raises(ValidationError, match="1024 are allowed"):
        runner(model=FULL_SIZE.model_copy(update={"model_id": "x" * 1000}))
