"""Engines of other kinds than ONNX, through the real server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from embedded.default_repository import CHECKPOINT
from export.manifest import record
from export.triton_config import read_config
from tests.end_to_end.test_ensemble import infer
from tests.photographs import photograph
from tests.server import ROOT, Server


@pytest.fixture(scope="module")
def compiled(servers: Callable[[str], Server]) -> Server:
    """The small model with two networks compiled by AOTInductor."""
    return servers("compiled")


@pytest.fixture(scope="module")
def compiled_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model that is shipped with the two networks that take the time compiled."""
    folder = tmp_path_factory.mktemp("aoti") / "repository"
    command = [sys.executable, "-m", "cli", "export", "--model", str(CHECKPOINT)]
    command += ["--output", str(folder), "--engine", "unet=aoti", "--engine", "vae_decoder=aoti"]
    subprocess.run(command, cwd=ROOT, check=True)
    with Server(folder) as server:
        yield server


def have_the_same_pixels(one: Server, other: Server) -> bool:
    """But for a level of rounding."""
    image = np.asarray(photograph("rocket", 97, 61))
    expected, actual = (infer(s, image).as_numpy("upscaled").astype(int) for s in (one, other))
    assert expected.std() > 10, "a flat picture would prove nothing"
    return bool(np.abs(actual - expected).max() <= 1)


def test_aoti_gives_the_pixels_of_onnx(server: Server, compiled: Server) -> None:
    assert have_the_same_pixels(server, compiled)


@pytest.mark.long
def test_aoti_gives_the_pixels_of_onnx_for_the_demo(
    demo_server: Server, compiled_demo: Server
) -> None:
    assert have_the_same_pixels(demo_server, compiled_demo)


def test_requests_of_several_rows_run_together(compiled: Server) -> None:
    before = compiled.counts("unet")
    infer(compiled, np.asarray(photograph("cat", 64, 64)), num_inference_steps=4)
    after = compiled.counts("unet")
    assert [b - a for a, b in zip(before, after, strict=True)] == [8, 4]


def test_the_manifest_and_the_configurations_say_what_runs(compiled: Server) -> None:
    engines = json.loads((compiled.repository / "manifest.json").read_text())["engines"]
    for name, engine, backend in (
        ("unet", "aoti", "python"),
        ("text_encoder", "aoti", "python"),
        ("vae_decoder", "onnx", "onnxruntime"),
    ):
        assert engines[name]["engine"] == engine
        assert read_config(compiled.repository / name / "config.pbtxt").backend == backend
    assert engines["unet"]["machine"]["instructions"]


def test_an_engine_of_another_machine_is_refused_at_the_start(
    repositories: Callable[[str], Path], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "upscale").mkdir(parents=True)
    (repository / "upscale" / "config.pbtxt").touch()
    manifest = json.loads((repositories("compiled") / "manifest.json").read_text())
    manifest["engines"]["unet"]["machine"]["torch"] = "1.0"
    (repository / "manifest.json").write_text(json.dumps(manifest))
    record(repository)
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository), "--port", "0"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "The aoti engine of unet was made for torch 1.0" in result.stderr
    assert "Make it again on this machine: upscale export " in result.stderr
