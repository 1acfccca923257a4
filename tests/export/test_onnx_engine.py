"""ONNX in every precision, with a network of one convolution; and what ONNX Runtime makes of it."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn
from torch.export import Dim

from export.errors import ExportError
from export.exactness import check_error, measure
from export.networks import Network
from export.onnx_engine import export_onnx, load_onnx, onnx_device
from export.precision import Precision, in_precision
from stages.engines import session_options as engines_session_options

CHECKPOINT: Any = None
NETWORK = Network(
    name="tiny",
    module=lambda _: Convolution(),
    inputs=lambda _, batch, height, width: {"sample": torch.randn(batch, 3, height, width)},
    dynamic={"sample": {0: Dim("batch", max=32), 2: Dim("h", max=128), 3: Dim("w", max=128)}},
    output="out",
)
INSIDE = {
    Precision.FP32: TensorProto.FLOAT,
    Precision.FP16: TensorProto.FLOAT16,
    Precision.BF16: TensorProto.BFLOAT16,
}


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.convolution(sample)
        return output


def test_the_engine_that_is_checked_has_the_options_of_the_one_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(NETWORK, NETWORK.module(CHECKPOINT).eval(), CHECKPOINT, path)
    made: list[Any] = []

    def session_options() -> Any:
        made.append(engines_session_options())
        return made[-1]

    monkeypatch.setattr("stages.engines.session_options", session_options)
    load_onnx(NETWORK, path)
    assert len(made) == 1
    assert made[0].enable_mem_pattern is False


@pytest.mark.parametrize("precision", Precision)
def test_weights_are_reduced_and_borders_are_not(precision: Precision, tmp_path: Path) -> None:
    module = NETWORK.module(CHECKPOINT).eval()
    path = tmp_path / "model.onnx"
    export_onnx(NETWORK, in_precision(module, precision), CHECKPOINT, path)
    graph = onnx.load(path).graph
    borders = [value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]]
    assert borders == [TensorProto.FLOAT, TensorProto.FLOAT]
    weights = [tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4]
    assert weights == [INSIDE[precision]]
    if precision is Precision.BF16:
        with pytest.raises(ExportError, match=r"tiny: ONNX Runtime \(cpu\) cannot run it: .*Conv"):
            load_onnx(NETWORK, path)
    else:
        measured = measure(NETWORK, module, CHECKPOINT, load_onnx(NETWORK, path))
        check_error(NETWORK, precision, measured.error)
        assert measured.dims == {"sample": [3, -1, -1], "out": [4, -1, -1]}
        assert (measured.error > NETWORK.tolerance) == (precision is Precision.FP16)


@pytest.mark.parametrize(
    ("providers", "sees_gpu", "expected"),
    [
        (["CUDAExecutionProvider", "CPUExecutionProvider"], True, "cuda:0"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], False, "cpu"),
        (["CPUExecutionProvider"], True, "cpu"),
    ],
)
def test_it_is_verified_on_a_gpu_where_onnx_runtime_can(
    monkeypatch: pytest.MonkeyPatch, providers: list[str], sees_gpu: bool, expected: str
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees_gpu)
    assert onnx_device() == expected
