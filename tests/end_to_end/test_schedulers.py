"""Requests of every scheduler through the whole server."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.schedulers import chosen_scheduler, made_of, name_of
from stages.schedulers import NAMES
from tests.end_to_end.test_ensemble import infer
from tests.end_to_end.test_parity import pad, pipeline_of
from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server, wait_until
from tests.tiny_pipeline import BETAS

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


# A scheduler_config.json's class and options: every kind of sigmas, spacing, end and solver once.
CONFIGURATIONS: list[dict[str, Any]] = [
    {
        "_class_name": "DPMSolverMultistepScheduler",
        "use_karras_sigmas": True,
        "final_sigmas_type": "sigma_min",  # with Heun's steps diffusers divides 0 by 0 at the end
    },
    {
        "_class_name": "DPMSolverMultistepScheduler",
        "use_lu_lambdas": True,
        "timestep_spacing": "trailing",
        "solver_order": 3,
        "solver_type": "heun",
    },
    {
        "_class_name": "UniPCMultistepScheduler",
        "predict_x0": False,
        "final_sigmas_type": "sigma_min",
        "timestep_spacing": "leading",
        "steps_offset": 1,
    },
]


def by_diffusers(checkpoint: Path, own: Any, name: str, steps: int) -> Any:
    """The picture of diffusers' pipeline with this scheduler swapped in for its own."""
    pipeline = pipeline_of(checkpoint)
    before = pipeline.scheduler
    pipeline.scheduler = own if name_of(own) == name else made_of(own, name)
    try:
        output = pipeline(
            image=pad(photograph("cat", 61, 45)),
            generator=torch.Generator().manual_seed(7),
            num_inference_steps=steps,
            **FIELDS,
        )
    finally:
        pipeline.scheduler = before
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
    server, checkpoint = servers(architecture), checkpoints(architecture)
    rows, calls = server.counts("unet")
    with ThreadPoolExecutor(len(steps)) as pool:
        together = list(pool.map(lambda item: upscaled(server, *item), steps.items()))
    after_rows, after_calls = server.counts("unet")
    assert after_calls - calls < (after_rows - rows) / 2, "of two rows each, so they shared calls"
    pictures = set()
    for (name, number), result in zip(steps.items(), together, strict=True):
        expected = by_diffusers(checkpoint, pipeline_of(checkpoint).scheduler, name, number)
        actual = pixels_of(result)
        assert np.abs(actual.astype(int) - expected).max() <= 1, name
        assert expected.std() > 10, "a flat picture would prove nothing"
        assert upscaled(server, name, number) == result, name
        pictures.add(result)
    assert len(pictures) == len(steps) or max(steps.values()) <= 2, "with few steps some agree"


@pytest.mark.long
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=" ".join)
def test_options_of_a_configuration_are_those_of_diffusers(
    checkpoints: Callable[[str], Path], tmp_path: Path, configuration: dict[str, Any]
) -> None:
    """Of the scheduler that the export is told to take, and of those that take them over."""
    checkpoint, file = checkpoints("narrow"), tmp_path / "scheduler_config.json"
    trained = pipeline_of(checkpoint).scheduler.config
    kept = {name: trained[name] for name in (*BETAS, "prediction_type")}
    file.write_text(json.dumps({**kept, **configuration}))
    repository = tmp_path / "repository"
    command = [sys.executable, "-m", "cli", "export", "--model", str(checkpoint)]
    command += ["--output", str(repository), "--scheduler", str(file), "--precision", "fp32"]
    subprocess.run(command, check=True)
    own = chosen_scheduler(None, str(file))
    with Server(repository) as server:
        names = server.get("/model").json()["schedulers"]
        assert names[0] == name_of(own)
        assert len(names) >= 6
        for name, steps in product(names, (3, 20)):
            actual = pixels_of(upscaled(server, name, steps))
            expected = by_diffusers(checkpoint, own, name, steps)
            assert np.abs(actual.astype(int) - expected).max() <= 1, (name, steps)


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
