"""The Python model of an AOTInductor package."""

import json
from pathlib import Path

import pytest

from export.repository import AOTI_MODEL, STAGES, add_aoti_model
from stages.machine import describe_machine
from tests.model_repository.models import load_file


def test_an_engine_of_another_machine_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load_file(AOTI_MODEL, monkeypatch)
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


def test_it_lies_beside_the_package_with_its_stages(tmp_path: Path) -> None:
    """So that no image has to bring it."""
    add_aoti_model(tmp_path)
    assert (tmp_path / "model.py").read_bytes() == AOTI_MODEL.read_bytes()
    for source in STAGES.glob("*.py"):
        assert (tmp_path / "stages" / source.name).read_bytes() == source.read_bytes()
