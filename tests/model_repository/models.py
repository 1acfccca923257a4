"""The models' Python, loaded outside Triton."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from export.repository import SOURCES
from tests.stages.triton_stand_in import empty_module, fill


def load_model(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a stage, over a stand-in for Triton's module."""
    return load_file(SOURCES / name / "1" / "model.py", monkeypatch)


def load_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module in a model.py; it finds the checkout's stages, as none lie beside it."""
    triton = empty_module(monkeypatch)
    monkeypatch.setattr(sys, "path", list(sys.path))  # it adds its folder
    spec = importlib.util.spec_from_file_location(f"{path.parts[-2]}_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fill(triton)
    return module
