"""What the export makes of an engine's configuration."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export.engine_choice import Choice, Engine
from export.engine_file import Written, describe_engine, fit_config
from export.exactness import Measured
from export.networks import NETWORKS, Network
from export.repository import SOURCES
from export.triton_config import read_config

DIMS = {"latents": [4, -1, -1], "image": [-1, -1, 3]}
VAE_DECODER = next(network for network in NETWORKS if network.name == "vae_decoder")
WRITTEN = Written(lambda _: [torch.zeros(1)], Measured(0.0, DIMS), "cpu", profiles=2)


@pytest.mark.parametrize("engine", Engine)
def test_a_configuration_names_what_runs_the_file(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    shutil.copyfile(SOURCES / "vae_decoder" / "config.pbtxt", path)
    fit_config(path, VAE_DECODER, Choice(engine), WRITTEN)
    config = read_config(path)
    assert (config.backend, config.platform) == {
        Engine.ONNX: ("onnxruntime", ""),
        Engine.AOTI: ("python", ""),  # as any Triton has it
        Engine.TENSORRT: ("", "tensorrt_plan"),
    }[engine]
    of_onnx = engine is Engine.ONNX
    assert config.HasField("optimization") == of_onnx
    assert ("cudnn_conv_algo_search" in config.parameters) == of_onnx
    profiles = ["0", "1"] if engine is Engine.TENSORRT else []
    assert list(config.instance_group[0].profile) == profiles


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_what_denoise_runs_is_not_loaded_a_second_time(
    engine: Engine, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "config.pbtxt"
    shutil.copyfile(SOURCES / network.name / "config.pbtxt", path)
    config = read_config(path)
    dims = {tensor.name: list(tensor.dims) for tensor in [*config.input, *config.output]}
    fit_config(path, network, Choice(engine), replace(WRITTEN, measured=Measured(0.0, dims)))
    is_run_by_denoise = network.name == "unet" and engine is not Engine.TENSORRT
    assert bool(read_config(path).model_warmup) != is_run_by_denoise


def test_the_manifest_says_where_an_engine_was_verified() -> None:
    said = describe_engine(Choice(), WRITTEN, 1e-4)
    assert (said["verified_on"], said["tf32"]) == ("cpu", False)
