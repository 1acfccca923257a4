"""Requests of every scheduler through the whole server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.schedulers import made_of
from stages.schedulers import NAMES
from tests.end_to_end.test_ensemble import infer
from tests.end_to_end.test_parity import pad, pipeline_of
from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server, wait_until

NUMBERS = (1, 2, 5, 20, 50)
# In the short run each once, at a number that the export wrote or did not.
SHORT = {
    "EulerDiscrete": 5,
    "PNDM": 12,
    "LMSDiscrete": 10,
    "DPMSolverMultistep": 20,
    "UniPCMultistep": 7,
    "DEISMultistep": 15,
}
FIELDS: dict[str, Any] = {
    "prompt": "A photo of something: 42%",
    "negative_prompt": "blurry",
    "guidance_scale": 9.0,
    "noise_level": 30,
}


def by_diffusers(checkpoint: Path, name: str, steps: int) -> Any:
    """The picture of diffusers' pipeline with this scheduler swapped in."""
    pipeline = pipeline_of(checkpoint)
    own = pipeline.scheduler
    pipeline.scheduler = made_of(own, name) if name != "DDIM" else own
    try:
        output = pipeline(
            image=pad(photograph("cat", 61, 45)),
            generator=torch.Generator().manual_seed(7),
            num_inference_steps=steps,
            **FIELDS,
        )
    finally:
        pipeline.scheduler = own
    return np.asarray(output.images[0])[: 4 * 45, : 4 * 61]


def upscaled(server: Server, name: str, steps: int) -> bytes:
    image = file_of(photograph("cat", 61, 45))
    return server.upscale(
        image, seed=7, safety_check=False, scheduler=name, num_inference_steps=steps, **FIELDS
    )


def cases() -> list[Any]:
    """Architecture, then number of steps by scheduler: of jobs that run beside each other."""
    long = [
        pytest.param(architecture, dict.fromkeys(NAMES, steps), marks=pytest.mark.long)
        for architecture in ("narrow", "wide")
        for steps in NUMBERS
    ]
    return [("narrow", SHORT), *long]


@pytest.mark.parametrize(("architecture", "steps"), cases())
def test_pixels_are_those_of_diffusers_alone_and_in_company(
    servers: Callable[[str], Server],
    checkpoints: Callable[[str], Path],
    architecture: str,
    steps: dict[str, int],
) -> None:
    server = servers(architecture)
    rows, calls = server.counts("unet")
    with ThreadPoolExecutor(len(steps)) as pool:
        together = list(pool.map(lambda item: upscaled(server, *item), steps.items()))
    after_rows, after_calls = server.counts("unet")
    assert after_calls - calls < (after_rows - rows) / 2, "of two rows each, so they shared calls"
    pictures = set()
    for (name, number), result in zip(steps.items(), together, strict=True):
        expected = by_diffusers(checkpoints(architecture), name, number)
        actual = pixels_of(result)
        assert np.abs(actual.astype(int) - expected).max() <= 1, name
        assert expected.std() > 10, "a flat picture would prove nothing"
        assert upscaled(server, name, number) == result, name
        pictures.add(result)
    assert len(pictures) == len(steps) or max(steps.values()) <= 2, "with few steps some agree"


def test_a_short_request_of_another_scheduler_shares_calls(server: Server) -> None:
    image = file_of(photograph("cat", 64, 64))
    rows, calls = server.counts("unet")
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(
            server.upscale, image, scheduler="DDIM", num_inference_steps=75, guidance_scale=1
        )
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        assert server.upscale(
            image, scheduler="DPMSolverMultistep", num_inference_steps=20, guidance_scale=1
        )
        assert not long.done()
        assert long.result()
    after_rows, after_calls = server.counts("unet")
    assert after_rows - rows == 75 + 20
    assert after_calls - calls == 75


def test_a_wrong_name_is_told_the_ones_there_are(server: Server) -> None:
    image = file_of(photograph("cat", 16, 16))
    response = server.post(image, scheduler="Heun")
    assert response.status_code == 400
    assert response.json()["detail"]["msg"] == (
        f"scheduler is Heun; this model has {', '.join(NAMES)}."
    )
    assert server.get("/model").json()["schedulers"] == list(NAMES)


def test_a_number_of_steps_that_diffusers_cannot_make_is_refused(server: Server) -> None:
    image = file_of(photograph("cat", 16, 16))
    response = server.post(image, scheduler="PNDM", num_inference_steps=1000)
    assert response.status_code == 400
    assert "which diffusers' PNDMScheduler cannot make" in response.json()["detail"]["msg"]


def test_the_ensemble_takes_a_scheduler_too(server: Server) -> None:
    image = photograph("rocket", 40, 32)
    fields: dict[str, Any] = {"num_inference_steps": 10, "scheduler": "DPMSolverMultistep"}
    result = infer(server, np.asarray(image), **{**fields, "scheduler": b"DPMSolverMultistep"})
    expected = pixels_of(server.upscale(file_of(image), seed=7, prompt="a photo", **fields))
    assert np.array_equal(result.as_numpy("upscaled"), expected)
