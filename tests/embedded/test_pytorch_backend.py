"""The AOTInductor backend: bounded runs, and what it does not load."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embedded.machine import describe
from tests.embedded.backends import load


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load("pytorch", monkeypatch)


def args(repository: Path) -> dict[str, str]:
    config = {"input": [{"name": "sample"}], "output": [{"name": "out"}]}
    return {
        "model_config": json.dumps(config),
        "model_repository": str(repository / "unet"),
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }


def test_requests_run_together_in_parts_of_bounded_size(module: Any) -> None:
    model = module.TritonPythonModel()
    model.inputs, model.outputs, model.device = ["sample"], ["out"], "cpu"
    rows: list[int] = []

    def package(sample: torch.Tensor) -> torch.Tensor:
        rows.append(len(sample))
        return 2 * sample

    model.package = package
    generator = np.random.default_rng(0)
    requests = [
        {"sample": generator.random((count, 4, 128, 128), np.float32)} for count in (1, 2, 2)
    ]
    responses = model.execute(requests)
    assert rows == [2, 2, 1]
    for request, response in zip(requests, responses, strict=True):
        assert np.array_equal(response.arrays["out"], 2 * request["sample"])


def test_an_engine_of_another_machine_is_not_loaded(module: Any, tmp_path: Path) -> None:
    machine = {**describe("aoti", "cpu"), "instructions": ["avx9"]}
    manifest = {
        "command": "upscale export --engine aoti",
        "engines": {"unet": {"engine": "aoti", "machine": machine}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        Exception, match=r"avx9, which this one lacks.*upscale export --engine aoti"
    ):
        module.TritonPythonModel().initialize(args(tmp_path))
