"""A plan by a stand-in of TensorRT, whose names are those of the real module."""

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from stages.engines import DeviceUnavailable, find_engine
from stages.tensorrt_engine import Profile, TensorRtEngine, nearest_profile

SMALL: Profile = {"sample": ((1, 7, 8, 8), (16, 7, 128, 128), (16, 7, 128, 128))}
ANY: Profile = {"sample": ((1, 7, 8, 8), (2, 7, 128, 128), (16, 7, 160, 160))}


@pytest.mark.parametrize(
    ("shape", "index"),
    [((16, 7, 128, 128), 0), ((2, 7, 128, 128), 1), ((16, 7, 160, 160), 1), ((12, 7, 64, 64), 0)],
)
def test_the_profile_that_is_tuned_for_the_nearest_shape(
    shape: tuple[int, ...], index: int
) -> None:
    assert nearest_profile([SMALL, ANY], {"sample": shape}) == index


def test_a_shape_of_no_profile_is_named() -> None:
    with pytest.raises(ValueError, match=r"no profile .* takes .*168"):
        nearest_profile([SMALL, ANY], {"sample": (2, 7, 168, 168)})


class Context:
    made: ClassVar[list["Context"]] = []

    def __init__(self, strategy: str) -> None:
        self.strategy, self.calls = strategy, list[tuple[Any, ...]]()
        self.made.append(self)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.calls.append(("profile", index, stream))
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.calls.append((name, shape))
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        rows, _, height, width = self.calls[-1][1]
        return rows, 4, height, width

    def set_tensor_address(self, name: str, address: int) -> bool:
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.calls.append(("run", stream))
        return True


class Plan:
    num_optimization_profiles = 2

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return list((SMALL, ANY)[index][name])

    def get_tensor_dtype(self, name: str) -> str:
        return "float"

    def create_execution_context(self, strategy: str) -> Context:
        return Context(strategy)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """With a plan, for a device that torch has here."""
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda data: Plan() if data else None)
    logger: Any = lambda _: None  # noqa: E731
    logger.ERROR = 1
    module: Any = SimpleNamespace(
        __spec__=SimpleNamespace(),
        __version__="11.4",
        Logger=logger,
        Runtime=lambda _: runtime,
        DataType=SimpleNamespace(FLOAT="float", UINT8="uint8"),
        ExecutionContextAllocationStrategy=SimpleNamespace(ON_PROFILE_CHANGE="on change"),
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    stream = SimpleNamespace(cuda_stream=94, device="meta")
    monkeypatch.setattr("stages.tensorrt_engine.stream_on", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(Context, "made", [])
    (tmp_path / "model.plan").write_bytes(b"plan")
    return tmp_path


def test_calls_go_by_a_context_for_each_profile_with_its_own_memory(folder: Path) -> None:
    engine = find_engine(folder, "meta", ["out_sample"])
    assert isinstance(engine, TensorRtEngine)
    for rows, side in ((2, 128), (16, 128), (2, 160)):
        [output] = engine({"sample": torch.ones(rows, 7, side, side)})
        assert (output.shape, output.device.type) == ((rows, 4, side, side), "meta")
    assert [context.strategy for context in Context.made] == ["on change", "on change"]
    alone, full = (context.calls for context in Context.made)
    assert alone[0] == ("profile", 1, 94)
    assert full[0] == ("profile", 0, 94)
    assert alone[1:] == [
        *(("sample", (2, 7, 128, 128)), ("run", 94)),
        *(("sample", (2, 7, 160, 160)), ("run", 94)),
    ]


def test_a_plan_that_cannot_be_loaded_is_told(folder: Path) -> None:
    (folder / "model.plan").write_bytes(b"")
    with pytest.raises(DeviceUnavailable, match=r"TensorRT 11.4 cannot load .*model.plan; its own"):
        find_engine(folder, "meta", ["out_sample"])


def test_one_that_does_not_run_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = find_engine(folder, "meta", ["out_sample"])
    assert engine is not None
    monkeypatch.setattr(Context, "execute_async_v3", lambda *_: False)
    with pytest.raises(RuntimeError, match="TensorRT did not run it"):
        engine({"sample": torch.ones(2, 7, 128, 128)})


def test_a_cpu_has_no_plan(folder: Path) -> None:
    assert find_engine(folder, "cpu", ["out_sample"]) is None
