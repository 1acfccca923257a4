"""What lies in an exported repository, and that a failed export leaves nothing."""

import hashlib
import io
import json
import re
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from rich.console import Console
from rich.progress import Progress

from export import networks, repository
from export.checkpoint import load_checkpoint
from export.engine_choice import Choice
from export.engine_file import Written
from export.errors import ExportError
from export.exactness import Measured
from export.networks import NETWORKS, Network
from export.repository import SOURCES, STAGES, export_repository, limit_vae_batches
from export.triton_config import read_config
from stages.schedulers import NAMES, read_schedulers
from stages.schedules import Schedules
from tests.tiny_pipeline import make_safety_checker


def files(folder: Path) -> Iterator[Path]:
    """What the export wrote; Triton's stubs add their bytecode when they serve it."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def test_manifest_names_every_file_and_error(repositories: Callable[[str], Path]) -> None:
    folder = repositories("narrow")
    manifest = json.loads((folder / "manifest.json").read_text())
    sums = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
        if path.name != "manifest.json"
    }
    assert manifest["sha256"] == sums
    assert manifest["model_id"] == "narrow"
    assert "--output" in manifest["command"]
    for network in NETWORKS:
        entry = manifest["engines"][network.name]
        assert (entry["engine"], entry["precision"]) == ("onnx", "fp32")
        assert 0 <= entry["error"] <= entry["tolerance"] == network.tolerance
        assert entry["machine"] == {}, "ONNX runs everywhere"
        assert (entry["verified_on"], entry["tf32"]) == ("cpu", False)
    assert manifest["tools"]["torch"].startswith("2.13.0")


def test_sources_are_copied_as_they_are(repositories: Callable[[str], Path]) -> None:
    folder = repositories("narrow")
    for source in SOURCES.glob("*/1/*.py"):
        assert (folder / source.relative_to(SOURCES)).read_bytes() == source.read_bytes()
    for stage in ("encode", "denoise", "decode"):
        for source in STAGES.glob("*.py"):
            copy = folder / stage / "1" / "stages" / source.name
            assert copy.read_bytes() == source.read_bytes()
    assert not list(folder.parent.glob(".*")), "nothing half-written stays"


def test_what_the_stages_read_lies_beside_them(repositories: Callable[[str], Path]) -> None:
    folder = repositories("narrow")
    for stage, names in {
        "encode": {"tokenizer.json"},
        "denoise": {"schedules.npz", "schedulers.json", "preview.npy"},
        "decode": {"preprocessor_config.json"},
    }.items():
        found = {path.name for path in (folder / stage / "1").iterdir()}
        assert found - {"__pycache__"} == names | {"model.py", "stages"}
    schedules = Schedules(folder / "denoise" / "1")
    served = read_schedulers(json.loads((folder / "manifest.json").read_text())["schedulers"])
    assert served.names == list(NAMES)
    for scheduler in served.served:
        schedule = schedules.schedule_of(75, scheduler)
        assert len(schedule) == scheduler.calls(75)
        assert schedule.history == scheduler.history
    assert schedules.noise_factors_of(350)[1] > schedules.noise_factors_of(20)[1]


def test_configs_fit_the_checkpoint(repositories: Callable[[str], Path]) -> None:
    for architecture, width, noise in (("narrow", 24, "350"), ("wide", 40, "200")):
        folder = repositories(architecture)
        unet = read_config(folder / "unet" / "config.pbtxt")
        dims = {tensor.name: list(tensor.dims) for tensor in unet.input}
        assert dims["sample"] == [7, -1, -1]
        assert dims["encoder_hidden_states"] == [77, width]
        denoise = read_config(folder / "denoise" / "config.pbtxt")
        dims = {tensor.name: list(tensor.dims) for tensor in denoise.input}
        assert dims["prompt_embeds"] == dims["negative_prompt_embeds"] == [77, width]
        decode = read_config(folder / "decode" / "config.pbtxt").parameters
        tile = "160" if architecture == "narrow" else "128"  # which has attention in its decoder
        assert decode["max_tile"].string_value == tile
        upscale = read_config(folder / "upscale" / "config.pbtxt")
        assert upscale.parameters["max_noise_level"].string_value == noise
        assert upscale.parameters["num_inference_steps"].string_value == "75"


@pytest.mark.parametrize(
    ("has_attention", "memory", "tiles"),
    [
        (True, None, 1),
        (False, None, 4),
        (True, int(80e9), 4),
        (True, int(24e9), 2),
        (True, int(8e9), 1),
        (False, int(8e9), 1),
        (False, int(16e9), 3),
    ],
)
def test_a_call_of_the_decoder_has_as_many_tiles_as_the_device_has_memory_for(
    tmp_path: Path, has_attention: bool, memory: int | None, tiles: int
) -> None:
    for name in ("decode", "vae_decoder"):
        (tmp_path / name).mkdir()
        shutil.copy(SOURCES / name / "config.pbtxt", tmp_path / name)
    config = SimpleNamespace(mid_block_add_attention=has_attention)
    checkpoint: Any = SimpleNamespace(pipeline=SimpleNamespace(vae=SimpleNamespace(config=config)))
    limit_vae_batches(checkpoint, tmp_path, memory)
    decode = read_config(tmp_path / "decode" / "config.pbtxt").parameters
    assert decode["vae_batch_size"].string_value == str(tiles)
    assert decode["max_tile"].string_value == ("128" if has_attention else "160")
    assert read_config(tmp_path / "vae_decoder" / "config.pbtxt").max_batch_size == tiles


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_safety_scores_flag_what_the_checker_flags(threshold: float) -> None:
    """The wrapper against `StableDiffusionSafetyChecker.forward`, rounding included."""
    torch.manual_seed(0)
    checker = make_safety_checker(threshold)
    checkpoint: Any = type("Checkpoint", (), {"load": lambda *_: checker})()
    pixels = torch.randn(8, 3, 224, 224)
    images = np.zeros((8, 8, 8, 3), np.float32)
    flags = StableDiffusionSafetyChecker.forward(checker, pixels, images)[1]
    with torch.no_grad():
        scores = networks.SafetyChecker(checkpoint)(pixels)
    assert (scores > 0).any(dim=1).tolist() == flags


def test_an_inexact_engine_is_refused_and_nothing_stays(
    checkpoints: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(NETWORKS[0], tolerance=1e-12)
    monkeypatch.setattr(repository, "networks_of", lambda _: [strict])
    checkpoint = load_checkpoint(str(checkpoints("narrow")), None, "none", None)
    with pytest.raises(ExportError, match="text_encoder: the engine differs from PyTorch by"):
        export_repository(checkpoint, tmp_path / "out", Progress(disable=True))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_left_alone(tmp_path: Path) -> None:
    checkpoint: Any = None
    with pytest.raises(ExportError, match="exists already"):
        export_repository(checkpoint, tmp_path, Progress(disable=True))


def test_large_weights_go_to_external_data(
    checkpoints: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.onnx_engine.MAX_INLINE_BYTES", 1000)
    monkeypatch.setattr(repository, "networks_of", lambda _: [NETWORKS[0]])
    checkpoint = load_checkpoint(str(checkpoints("narrow")), None, "none", None)
    progress = Progress(console=Console(file=io.StringIO()))
    export_repository(checkpoint, tmp_path / "out", progress)
    (task,) = progress.tasks
    assert task.completed == task.total == 4 * checkpoint.weights["text_encoder"].parameters()
    engine = tmp_path / "out" / "text_encoder" / "1" / "model.onnx"
    assert (engine.parent / "model.onnx.data").stat().st_size > 50_000
    session = onnxruntime.InferenceSession(engine, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "input_ids"


def test_one_network_is_in_memory_at_a_time_and_each_is_told(
    checkpoints: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: list[weakref.ref[torch.nn.Module]] = []
    said = io.StringIO()

    def write(network: Network, choice: Choice, module: torch.nn.Module, *_: Any) -> Written:
        assert [ref() for ref in modules] == [None] * len(modules), "let go of the one before"
        assert re.search(rf"{network.name}: onnx fp32, [\d.]+ .?B in float32", said.getvalue())
        modules.append(weakref.ref(module))
        return Written(lambda _: [next(module.parameters())], Measured(0.0, {}), "cpu")

    monkeypatch.setattr(repository, "write_engine", write)
    monkeypatch.setattr(repository, "fit_config", lambda *_: None)
    checkpoint = load_checkpoint(str(checkpoints("narrow")), None, None, None)
    progress = Progress(console=Console(file=said, width=200))
    export_repository(checkpoint, tmp_path / "out", progress)
    assert len(modules) == len(NETWORKS)
    assert progress.finished
