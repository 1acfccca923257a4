"""Our Python-based backends, loaded outside Triton."""

from typing import Any

import pytest

from embedded.wheel import BACKENDS
from tests.model_repository.models import load_file


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a backend, over a stand-in for Triton's module."""
    return load_file(BACKENDS / name / "model.py", monkeypatch)
