"""Our Python-based backends, loaded outside Triton."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from embedded import triton


class Tensor:
    """Triton's, as far as the backends use it, on the CPU."""

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def is_cpu(self) -> bool:
        return True

    def as_numpy(self) -> Any:
        return self.array


class InferenceResponse:
    def __init__(self, tensors: list[Tensor]) -> None:
        self.arrays = {tensor.name: tensor.array for tensor in tensors}


class TritonModelException(Exception): ...


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a backend, over a stand-in for the module that is there only inside Triton."""
    stand_in: Any = ModuleType("triton_python_backend_utils")
    stand_in.Tensor = Tensor
    stand_in.InferenceResponse = InferenceResponse
    stand_in.TritonModelException = TritonModelException
    stand_in.get_input_tensor_by_name = lambda request, name: Tensor(name, request[name])
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in)
    monkeypatch.delitem(sys.modules, "stages.engine_batch", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the backend adds its folder
    path: Path = triton.BACKENDS / name / "model.py"
    spec = importlib.util.spec_from_file_location(f"{name}_backend", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
