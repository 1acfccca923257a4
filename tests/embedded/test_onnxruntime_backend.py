"""The backend's runs: bounded, and the same rows as in one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

PATH = Path(__file__).parents[2] / "embedded" / "backends" / "onnxruntime" / "model.py"


class Session:
    """Doubles its input and notes how many rows came at a time."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, _: list[str], batch: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.rows.append(len(batch["sample"]))
        return [2 * batch["sample"], batch["timestep"]]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Triton's module is there only inside Triton; what is tested here does not use it."""
    name = "triton_python_backend_utils"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    spec = importlib.util.spec_from_file_location("onnxruntime_backend", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.session, model.inputs, model.outputs = Session(), ["sample", "timestep"], ["out", "time"]
    return model


@pytest.mark.parametrize(
    ("shape", "runs"),
    [
        ((3, 7, 128, 128), [1, 1, 1]),  # tiles of unet
        ((5, 4, 128, 128), [2, 2, 1]),  # tiles of vae_decoder
        ((16, 7, 8, 8), [16]),
        ((2, 3, 512, 512), [1, 1]),  # more than a run should have, but one row it must
    ],
)
def test_a_batch_runs_in_parts_of_bounded_size(
    model: Any, shape: tuple[int, ...], runs: list[int]
) -> None:
    sample = np.random.default_rng(0).random(shape, np.float32)
    timestep = np.arange(shape[0], dtype=np.int64)[:, None]
    out, time = model.run({"sample": sample, "timestep": timestep})
    assert model.session.rows == runs
    assert np.array_equal(out, 2 * sample)
    assert np.array_equal(time, timestep)
