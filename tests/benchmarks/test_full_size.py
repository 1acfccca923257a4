"""The checkpoint of the x4 upscaler's layout; in full size exported and served, when asked.

`make test-full-size` does that: 6 minutes on two cores, 12 GB of memory, 9 of disk.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from diffusers import StableDiffusionUpscalePipeline
from safetensors import safe_open

from benchmarks import full_size
from export.checkpoint import load_checkpoint
from export.exactness import seeded_inputs
from export.networks import networks_of
from tests.photographs import file_of, photograph, pixels_of
from tests.server import ROOT, Server

# What the networks of the real checkpoint have: https://huggingface.co/stabilityai/
# stable-diffusion-x4-upscaler, and its usual safety checker.
PARAMETERS = {
    "text_encoder": 340_387_840 + 77,
    "unet": 473_398_020,
    "vae": 55_325_927,
    "safety_checker": 303_981_588 + 257,
}
FIELDS: dict[str, Any] = {
    "prompt": "a photo of a cat",
    "num_inference_steps": 3,
    "guidance_scale": 9.0,
    "noise_level": 20,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full_size") / "small"
    full_size.write(folder, divisor=8)
    return folder


def test_its_files_are_those_of_the_hub(small: Path) -> None:
    assert not list(small.rglob("tokenizer.json"))
    index = json.loads((small / "model_index.json").read_text())
    assert index["safety_checker"] == index["watermarker"] == [None, None]
    with safe_open(small / "vae" / "diffusion_pytorch_model.safetensors", "pt") as file:
        assert {"encoder.mid_block.attentions.0.query.weight"} < set(file.keys())
        assert not [name for name in file.keys() if ".to_" in name]  # noqa: SIM118
    for part, name in (
        ("text_encoder", "text_model.embeddings.token_embedding.weight"),
        ("safety_checker", "vision_model.vision_model.embeddings.patch_embedding.weight"),
    ):
        with safe_open(small / part / "model.safetensors", "pt") as file:
            assert name in file.keys()  # noqa: SIM118


def test_every_network_is_whole_and_finite(small: Path) -> None:
    checkpoint = load_checkpoint(str(small), None, None, None)
    assert len(checkpoint.pipeline.tokenizer) == full_size.WORDS
    assert checkpoint.pipeline.tokenizer.pad_token_id == 0
    for network in networks_of(checkpoint):
        module = network.module(checkpoint).eval()
        with torch.no_grad():
            output = module(**seeded_inputs(network, checkpoint, (1, 8, 8)))
        assert output.float().isfinite().all(), network.name
        assert output.float().std() > 0, network.name


@pytest.mark.long
def test_in_full_size_its_pixels_are_those_of_diffusers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.server.START_TIMEOUT_S", 600.0)
    model, repository = tmp_path / "model", tmp_path / "repository"
    full_size.write(model)
    checkpoint = load_checkpoint(str(model), None, None, None)
    assert {name: w.parameters() for name, w in checkpoint.weights.items()} == PARAMETERS
    began = time.monotonic()
    command = [sys.executable, "-m", "cli", "export", "--model", str(model), "--precision", "fp32"]
    process = subprocess.Popen([*command, "--output", str(repository)], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # it is collected
    assert status == 0
    print(f"exported in {time.monotonic() - began:.0f} s, peak {usage.ru_maxrss / 1e6:.1f} GB")  # noqa: T201

    image = photograph("cat", 64, 64)
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(
        model, dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    generator = torch.Generator().manual_seed(7)
    expected = np.asarray(pipeline(image=image, generator=generator, **FIELDS).images[0])
    del pipeline
    began = time.monotonic()
    with Server(repository) as server:
        print(f"ready in {time.monotonic() - began:.0f} s")  # noqa: T201
        began = time.monotonic()
        actual = pixels_of(server.upscale(file_of(image), seed=7, **FIELDS))
        print(f"64 x 64 in 3 steps in {time.monotonic() - began:.1f} s")  # noqa: T201
        serve = psutil.Process(server.process.pid)
        parts = [serve, *serve.children(recursive=True)]
        memory = sum(process.memory_full_info().pss for process in parts)
        print(f"serving takes {memory / 1e9:.1f} GB")  # noqa: T201
    assert np.abs(actual.astype(int) - expected).max() <= 1
    assert expected.std() > 10, "a flat picture would prove nothing"
