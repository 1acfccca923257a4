"""The ONNX Runtime backend: bounded runs, the same rows as in one, and where it runs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.embedded.backends import load


class Session:
    """Doubles its input and notes how many rows came at a time."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, _: list[str], batch: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.rows.append(len(batch["sample"]))
        return [2 * batch["sample"], batch["timestep"]]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load("onnxruntime", monkeypatch)


@pytest.fixture
def model(module: Any) -> Any:
    model = module.TritonPythonModel()
    model.session, model.inputs, model.outputs = Session(), ["sample", "timestep"], ["out", "time"]
    model.device = "cpu"
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


def test_each_request_gets_its_own_rows(model: Any) -> None:
    requests: list[dict[str, Any]] = [
        {
            "sample": np.full((rows, 1, 8, 8), rows, np.float32),
            "timestep": np.full((rows, 1), 10 * rows, np.int64),
        }
        for rows in (1, 3, 2)
    ]
    responses = model.execute(requests)
    assert model.session.rows == [6]
    for request, response in zip(requests, responses, strict=True):
        assert np.array_equal(response.arrays["out"], 2 * request["sample"])
        assert np.array_equal(response.arrays["time"], request["timestep"])


def test_cuda_is_used_where_triton_wants_it_and_it_is_there(module: Any) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert module.providers_for("cpu", both) == ["CPUExecutionProvider"]
    assert module.providers_for("cuda:1", ["CPUExecutionProvider"]) == ["CPUExecutionProvider"]
    (name, options), last = module.providers_for("cuda:1", both)
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["device_id"] == "1"


def test_bound_tensors_give_the_same(model: Any, tmp_path: Path) -> None:
    """The way that a GPU takes, with the CPU as the device."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 3]) for n in "xy"]
    graph = helper.make_graph([node], "double", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "model.onnx")
    model.session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    model.outputs = ["y"]
    batch = np.arange(6, dtype=np.float32).reshape(2, 3)
    for given in (batch, torch.from_numpy(batch)):
        (result,) = model.run_bound({"x": given})
        assert torch.equal(result, torch.from_numpy(2 * batch))
