"""Where the UNet runs, and what its errors become."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.errors import EngineFailed, OutOfMemory
from stages.tiles import MAX_TILE
from tests.stages.triton_stand_in import (
    InferenceRequest,
    InferenceResponse,
    Tensor,
    TritonError,
    TritonModelException,
    install,
)


class FakeEngine:
    """On a device that it chose itself."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, batch: dict[str, Any]) -> list[Any]:
        return [2 * batch["sample"]]


@pytest.fixture
def unet(monkeypatch: pytest.MonkeyPatch) -> Any:
    install(monkeypatch)
    from stages import unet

    return unet


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_latents_belong_where_the_engine_runs(
    unet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str
) -> None:
    """Where torch sees a GPU while ONNX Runtime knows none, that is the CPU."""
    asked: list[str] = []

    def find_engine(_: Path, wanted: str, __: list[str]) -> FakeEngine:
        asked.append(wanted)
        return FakeEngine(device)

    monkeypatch.setattr(unet, "find_engine", find_engine)
    loaded = unet.load_unet(tmp_path, "cuda:0", "denoise")
    assert asked == ["cuda:0"]
    assert loaded.device == torch.device(device)
    sample = torch.ones(1, 7, 8, 8, device=loaded.device)
    assert loaded({"sample": sample})[0].device == loaded.device


def test_an_engine_that_fails_is_named(unet: Any) -> None:
    class Broken(FakeEngine):
        def __call__(self, batch: dict[str, Any]) -> list[Any]:
            raise RuntimeError("no kernel")

    with pytest.raises(EngineFailed, match="unet: no kernel"):
        unet.OwnUNet(Broken("cpu"))({})


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 4096"),
    RuntimeError("Available memory of 0 is smaller than requested bytes of 4194304"),
    RuntimeError("CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
    MemoryError("std::bad_alloc"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_an_engine_without_memory_is_told_in_our_words(unet: Any, error: Exception) -> None:
    class Full(FakeEngine):
        def __call__(self, batch: dict[str, Any]) -> list[Any]:
            raise error

    with pytest.raises(OutOfMemory) as told:
        unet.OwnUNet(Full("cpu"))({})
    assert str(told.value) == "unet: there was not enough memory for this call."


def test_what_pytorch_keeps_is_given_back_when_a_gpu_is_full(
    unet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's memory is another's."""
    given_back: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(True))

    class Full(FakeEngine):
        def __call__(self, batch: dict[str, Any]) -> list[Any]:
            raise OUT_OF_MEMORY[1]

    with pytest.raises(OutOfMemory):
        unet.OwnUNet(Full("cuda:0"))({})
    assert given_back


def test_a_model_that_fails_is_named(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str, inputs: dict[str, Any]) -> InferenceResponse:
        if inputs["sample"].shape[0] > 1:
            return InferenceResponse([], TritonError("no room"))
        return InferenceResponse([Tensor("out_sample", inputs["sample"].numpy() + 1)])

    monkeypatch.setattr(InferenceRequest, "answer", staticmethod(answer), raising=False)
    called = unet.load_unet(Path("nowhere"), "cpu", "bls")
    assert called.device == torch.device("cpu")
    assert torch.equal(called({"sample": torch.zeros(1, 2)})[0], torch.ones(1, 2))
    with pytest.raises(EngineFailed, match="unet: no room"):
        called({"sample": torch.zeros(2, 2)})


WHOLE = {"sample": torch.zeros(1, 7, 8, 8)}
SHALLOW = {**WHOLE, "deep_feature": torch.zeros(1, 3, 8, 8)}


def test_with_a_step_cache_there_are_two_engines_and_the_inputs_say_which(
    unet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []

    class Named(FakeEngine):
        def __init__(self, name: str, outputs: list[str]) -> None:
            super().__init__("cpu")
            self.name, self.outputs = name, outputs

        def __call__(self, batch: dict[str, Any]) -> list[Any]:
            calls.append(self.name)
            return [torch.zeros(1) for _ in self.outputs]

    def find_engine(folder: Path, _: str, outputs: list[str]) -> FakeEngine:
        return Named(folder.parent.name, outputs)

    monkeypatch.setattr(unet, "find_engine", find_engine)
    loaded = unet.load_unet(tmp_path / "unet" / "1", "cpu", "denoise", has_step_cache=True)
    assert [len(loaded(inputs)) for inputs in (WHOLE, SHALLOW)] == [2, 1]
    assert calls == ["unet", "unet_shallow"]


def test_with_a_step_cache_bls_calls_the_model_that_the_inputs_are_of(
    unet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def answer(name: str, inputs: dict[str, Any]) -> InferenceResponse:
        calls.append(name)
        outputs = ["out_sample", "deep_feature"] if name == "unet" else ["out_sample"]
        return InferenceResponse([Tensor(output, np.zeros((1, 2))) for output in outputs])

    monkeypatch.setattr(InferenceRequest, "answer", staticmethod(answer), raising=False)
    called = unet.load_unet(Path("nowhere"), "cpu", "bls", has_step_cache=True)
    assert [len(called(inputs)) for inputs in (WHOLE, SHALLOW)] == [2, 1]
    assert calls == ["unet", "unet_shallow"]


def test_another_word_is_refused(unet: Any) -> None:
    with pytest.raises(ValueError, match='unet of denoise is gpu: it must be "denoise" or "bls"'):
        unet.load_unet(Path("nowhere"), "cpu", "gpu")


def test_a_package_of_another_machine_is_not_loaded(unet: Any, tmp_path: Path) -> None:
    folder = tmp_path / "unet" / "1"
    folder.mkdir(parents=True)
    (folder / "package").mkdir()
    engines = {"unet": {"engine": "aoti", "machine": {"torch": "1.0"}}}
    manifest = {"command": "upscale export", "engines": engines}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TritonModelException, match=r"made for torch 1\.0"):
        unet.load_unet(folder, "cpu", "denoise")


def test_an_answer_of_numpy_becomes_a_tensor(unet: Any) -> None:
    class OnCpu(FakeEngine):
        def __call__(self, batch: dict[str, Any]) -> list[Any]:
            return [np.ones((1, 4, 8, 8), np.float32)]

    assert torch.equal(unet.OwnUNet(OnCpu("cpu"))({})[0], torch.ones(1, 4, 8, 8))


def test_a_gpu_that_is_named_and_missing_is_told(
    unet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert (unet.read_device("auto"), unet.read_device("cpu")) == ("cpu", "cpu")
    with pytest.raises(ValueError, match=r"denoise is cuda:0, and PyTorch sees cpu\. A GPU that"):
        unet.read_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert (unet.read_device("auto"), unet.read_device("cuda:1")) == ("cuda:0", "cuda:1")


def test_the_cpu_never_takes_the_place_of_a_gpu_that_is_here(
    unet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unet, "gpu_refusal", lambda: "PyTorch cannot use the GPU: too old.")
    with pytest.raises(ValueError, match="cannot use the GPU: too old"):
        unet.read_device("auto")
    assert unet.read_device("cpu") == "cpu", "which somebody asks for"


@pytest.mark.parametrize(("memory", "expected"), [(80e9, 512), (24e9, 256), (4e9, MAX_TILE)])
def test_the_largest_tile_goes_by_the_gpus_memory(
    unet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: float, expected: int
) -> None:
    properties = type("Properties", (), {"total_memory": int(memory)})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    gpu, cpu = torch.device("cuda:0"), torch.device("cpu")
    assert unet.max_tile_of("auto", tmp_path, gpu) == expected
    assert unet.max_tile_of("auto", tmp_path, cpu) == MAX_TILE
    assert unet.max_tile_of("96", tmp_path, gpu) == 96
    (tmp_path / "model.plan").touch()
    assert unet.max_tile_of("auto", tmp_path, gpu) == MAX_TILE, "its profiles end there"


@pytest.mark.parametrize(("memory", "rows"), [(80e9, 16), (4e9, 3)])
def test_a_call_has_as_many_rows_as_a_gpu_has_memory_for(
    unet: Any, monkeypatch: pytest.MonkeyPatch, memory: float, rows: int
) -> None:
    properties = type("Properties", (), {"total_memory": int(memory)})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    assert unet.rows_at_once(16, torch.device("cuda:0")) == rows
    assert unet.rows_at_once(16, torch.device("cpu")) == 16


@pytest.mark.parametrize(("cuda_graphs", "wrapped"), [("auto", True), ("off", False)])
def test_calls_on_a_gpu_may_be_graphs(
    unet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda_graphs: str, wrapped: bool
) -> None:
    properties = type("Properties", (), {"total_memory": int(80e9)})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    captured: list[int] = []

    class Graph:
        nbytes = 1

        def __init__(self, engine: Any, inputs: dict[str, Any]) -> None:
            captured.append(len(inputs["sample"]))

        def __call__(self, inputs: dict[str, Any]) -> Any:
            return [2 * inputs["sample"]]

    class OnGpu(FakeEngine):
        stream = None

    monkeypatch.setattr(unet, "CudaGraph", Graph)
    monkeypatch.setattr(unet, "find_engine", lambda *_: OnGpu("meta"))
    loaded = unet.load_unet(tmp_path, "cuda:0", "denoise", cuda_graphs)
    for _ in range(3):
        sample = torch.ones(3, 7, 8, 8, device="meta")
        assert loaded({"sample": sample})[0].shape == sample.shape
    assert captured == ([4] if wrapped else [])


def test_on_a_cpu_nothing_is_padded_or_captured(
    unet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = FakeEngine("cpu")
    monkeypatch.setattr(unet, "find_engine", lambda *_: engine)
    loaded = unet.load_unet(tmp_path, "cpu", "denoise", "auto")
    assert loaded._engine is engine
    with pytest.raises(ValueError, match='cuda_graphs of denoise is on: it must be "auto" or "off'):
        unet.load_unet(tmp_path, "cpu", "denoise", "on")


def test_a_plan_of_another_tensorrt_is_not_loaded(
    unet: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """But by Triton's own backend, where this Python has no TensorRT at all; the start says so."""
    folder = tmp_path / "unet" / "1"
    folder.mkdir(parents=True)
    (folder / "model.plan").touch()
    engines = {"unet": {"engine": "tensorrt", "machine": {"tensorrt": "11.0", "gpu": "H100"}}}
    manifest = {"command": "upscale export", "engines": engines}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "tensorrt" or None)
    with pytest.raises(TritonModelException, match="made for gpu H100"):
        unet.load_unet(folder, "cuda:0", "denoise")
    assert not caplog.messages
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert isinstance(unet.load_unet(folder, "cuda:0", "denoise"), unet.BlsUNet)
    [told] = caplog.messages
    assert f"in {folder} is called through Triton" in told
    assert "tensorrt for TensorRT" in told
