"""What the AOTInductor backend does not load."""

import json
from pathlib import Path

import pytest

from stages.machine import describe_machine
from tests.embedded.backends import load


def test_an_engine_of_another_machine_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load("pytorch", monkeypatch)
    machine = {**describe_machine("aoti", "cpu"), "instructions": ["avx9"]}
    manifest = {
        "command": "upscale export --engine aoti",
        "engines": {"unet": {"engine": "aoti", "machine": machine}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    config = {"input": [{"name": "sample"}], "output": [{"name": "out"}]}
    args = {
        "model_config": json.dumps(config),
        "model_repository": str(tmp_path / "unet"),
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }
    with pytest.raises(
        Exception, match=r"avx9, which this one lacks.*upscale export --engine aoti"
    ):
        module.TritonPythonModel().initialize(args)
