"""Engines by their files: bounded runs, the same rows as in one, and where they run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from stages.engines import (
    AotiEngine,
    DeviceUnavailable,
    OnnxEngine,
    find_engine,
    in_order,
    providers_for,
)


class Session:
    """Doubles its input and notes how many rows came at a time."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, _: list[str], batch: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.rows.append(len(batch["sample"]))
        return [2 * batch["sample"], batch["timestep"]]


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """A version's folder with a graph: y = x + x."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 3]) for n in "xy"]
    graph = helper.make_graph([node], "double", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "model.onnx")
    return tmp_path


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
    double: Path, shape: tuple[int, ...], runs: list[int]
) -> None:
    engine = OnnxEngine(double / "model.onnx", "cpu", ["out", "time"])
    session: Any = Session()
    engine.session = session
    sample = np.random.default_rng(0).random(shape, np.float32)
    timestep = np.arange(shape[0], dtype=np.int64)[:, None]
    out, time = engine({"sample": torch.from_numpy(sample), "timestep": timestep})
    assert session.rows == runs
    assert np.array_equal(out, 2 * sample)
    assert np.array_equal(time, timestep)


def test_a_package_runs_in_parts_too() -> None:
    engine = AotiEngine.__new__(AotiEngine)
    rows: list[int] = []

    class Package:
        def run(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
            [sample] = inputs
            rows.append(len(sample))
            return [2 * sample]

    engine.device, engine.package, engine.inputs = "cpu", Package(), ["sample"]
    sample = np.random.default_rng(0).random((5, 4, 128, 128), np.float32)
    for given in (sample, torch.from_numpy(sample)):
        rows.clear()
        (out,) = engine({"sample": given})
        assert rows == [2, 2, 1]
        assert np.array_equal(out, 2 * sample)


def test_on_a_gpu_a_package_gets_the_one_that_was_named_and_no_tf32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[tuple[Any, ...]] = []

    class Loader:
        """PyTorch's, of a package with one input."""

        def __init__(self, *arguments: Any) -> None:
            loaded.append((*arguments, torch.backends.cudnn.allow_tf32))

        @staticmethod
        def load_metadata_from_package(*_: str) -> dict[str, str]:
            return {"AOTI_DEVICE_KEY": "cuda"}

        def get_call_spec(self) -> list[str]:
            return ['[1, {"children_spec": [{}, {"context": "[\\"sample\\"]"}]}]']

    monkeypatch.setattr(torch._C._aoti, "AOTIModelPackageLoader", Loader)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    engine = AotiEngine(Path("package"), "cuda:1")
    assert loaded == [("package", "model", True, 1, 1, False)]
    assert (engine.device, engine.inputs) == ("cuda:1", ["sample"])


BOTH = ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_cuda_is_used_where_it_is_wanted_and_there() -> None:
    assert providers_for("cpu", BOTH) == ["CPUExecutionProvider"]
    (name, options), last = providers_for("cuda:1", BOTH)
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {
        "device_id": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }
    (_, options), _ = providers_for("cuda:1", BOTH, SimpleNamespace(cuda_stream=94))
    assert options["user_compute_stream"] == "94"


def test_a_package_without_cuda_never_takes_the_cpu_for_a_gpu(double: Path) -> None:
    assert OnnxEngine(double / "model.onnx", "cpu", ["y"]).device == "cpu"
    with pytest.raises(DeviceUnavailable, match=r"cuda:0: this package .* onnxruntime-gpu in the"):
        OnnxEngine(double / "model.onnx", "cuda:0", ["y"])


def test_nor_does_one_whose_cuda_does_not_load(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where cuBLAS is not found: ONNX Runtime says so in its log and goes on with the CPU."""
    preloaded: list[bool] = []
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: BOTH)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: preloaded.append(True))
    monkeypatch.setattr("stages.engines.providers_for", lambda *_: ["CPUExecutionProvider"])
    monkeypatch.setattr("stages.engines.stream_on", lambda _: None)
    with pytest.raises(DeviceUnavailable, match=r"model.onnx cannot run on cuda:0: .* driver"):
        OnnxEngine(double / "model.onnx", "cuda:0", ["y"])
    assert preloaded, "the libraries that came as packages are looked for first"


class OnGpu:
    """A tensor that NumPy cannot read where it lies."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def cpu(self) -> torch.Tensor:
        return self._tensor


def test_an_engine_on_the_cpu_takes_what_lies_on_a_gpu(double: Path) -> None:
    engine = OnnxEngine(double / "model.onnx", "cpu", ["y"])
    [result] = engine({"x": OnGpu(torch.ones(2, 3))})
    assert np.array_equal(result, np.full((2, 3), 2))


def test_bound_tensors_give_the_same(double: Path) -> None:
    """The way that a GPU takes, with the CPU as the device."""
    engine = OnnxEngine(double / "model.onnx", "cpu", ["y"])
    batch = np.arange(6, dtype=np.float32).reshape(2, 3)
    for given in (batch, torch.from_numpy(batch)):
        (result,) = engine.run_bound({"x": given})
        assert torch.equal(result, torch.from_numpy(2 * batch))


class Stream:
    """Notes which stream waits for which."""

    device = "cuda:0"

    def __init__(self, name: str, waits: list[str]) -> None:
        self.name, self.waits = name, waits

    def wait_stream(self, other: "Stream") -> None:
        self.waits.append(f"{self.name} for {other.name}")


def test_a_run_on_a_stream_of_its_own_is_in_order_with_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[str] = []
    engines_, callers = Stream("engine", waits), Stream("caller", waits)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: callers)
    with in_order(engines_):
        waits.append("run")
    assert waits == ["engine for caller", "run", "caller for engine"]
    waits.clear()
    for same in (callers, None):  # as within a capture; and on a CPU
        with in_order(same):
            waits.append("run")
    assert waits == ["run", "run"]


def test_an_engine_is_found_by_its_file_where_its_library_is(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = find_engine(double, "cpu", ["y"])
    assert engine is not None
    (result,) = engine({"x": np.ones((1, 3), np.float32)})
    assert np.array_equal(result, np.full((1, 3), 2))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert find_engine(double, "cpu", ["y"]) is None
    (double / "model.onnx").rename(double / "model.plan")
    assert find_engine(double, "cpu", ["y"]) is None
