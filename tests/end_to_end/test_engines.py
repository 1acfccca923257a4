"""Engines of other kinds than ONNX, through the real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
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
def aoti_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default model with the two networks that take the time compiled by AOTInductor."""
    folder = tmp_path_factory.mktemp("aoti") / "repository"
    command = [sys.executable, "-m", "cli", "export", "--model", str(CHECKPOINT)]
    command += ["--output", str(folder), "--engine", "unet=aoti", "--engine", "vae_decoder=aoti"]
    subprocess.run(command, cwd=ROOT, check=True)
    with Server(folder) as server:
        yield server


def test_aoti_gives_the_pixels_of_onnx(demo_server: Server, aoti_server: Server) -> None:
    image = np.asarray(photograph("rocket", 97, 61))
    expected, actual = (
        infer(one, image).as_numpy("upscaled").astype(int) for one in (demo_server, aoti_server)
    )
    assert np.abs(actual - expected).max() <= 1
    assert expected.std() > 10, "a flat picture would prove nothing"


def test_requests_of_several_rows_run_together(aoti_server: Server) -> None:
    before = aoti_server.counts("unet")
    infer(aoti_server, np.asarray(photograph("cat", 64, 64)), num_inference_steps=4)
    after = aoti_server.counts("unet")
    assert [b - a for a, b in zip(before, after, strict=True)] == [8, 4]


def test_the_manifest_and_the_configurations_say_what_runs(aoti_server: Server) -> None:
    engines = json.loads((aoti_server.repository / "manifest.json").read_text())["engines"]
    for name, engine, backend in (
        ("unet", "aoti", "pytorch"),
        ("vae_decoder", "aoti", "pytorch"),
        ("text_encoder", "onnx", "onnxruntime"),
    ):
        assert engines[name]["engine"] == engine
        assert read_config(aoti_server.repository / name / "config.pbtxt").backend == backend
    assert engines["unet"]["machine"]["instructions"]


def test_an_engine_of_another_machine_is_refused_at_the_start(
    aoti_server: Server, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "upscale").mkdir(parents=True)
    (repository / "upscale" / "config.pbtxt").touch()
    manifest = json.loads((aoti_server.repository / "manifest.json").read_text())
    manifest["engines"]["unet"]["machine"]["torch"] = "1.0"
    (repository / "manifest.json").write_text(json.dumps(manifest))
    record(repository)
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository), "--port", "0"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "The aoti engine of unet was made for torch 1.0" in result.stderr
    assert "upscale export --model" in result.stderr
