"""The driver's library stands in: no machine that tests run on is sure to have a GPU."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from gateway.routes.hardware import gpu_info, gpu_stats


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=80 * 2**30, free=79 * 2**30)
    answers: dict[str, Any] = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetUUID": "GPU-1",
        "nvmlDeviceGetName": "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": memory,
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=70, memory=30),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, lambda *_, answer=answer: answer)


@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_is_described_in_ai_runners_words() -> None:
    identity = {"id": "GPU-1", "name": "NVIDIA H200"}
    memory = {"memory_total": 80 * 2**30, "memory_free": 79 * 2**30}
    assert gpu_info() == {"0": {**identity, **memory, "major": 9, "minor": 0}}
    utilization = {"utilization_compute": 70, "utilization_memory": 30}
    assert gpu_stats() == {"0": {**identity, **memory, **utilization}}


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert gpu_info() == {}
    assert gpu_stats() == {}


@pytest.mark.usefixtures("one_gpu")
def test_what_a_gpu_in_parts_does_not_tell_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With MIG a GPU has no utilization."""

    def not_supported(_: Any) -> None:
        raise pynvml.NVMLError_NotSupported

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", not_supported)
    [stats] = gpu_stats().values()
    assert set(stats) == {"id", "name", "memory_total", "memory_free"}
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", not_supported)
    [info] = gpu_info().values()
    assert set(info) == {"id", "name", "major", "minor"}
    assert "A part of GPU 0 could not be described: Not Supported" in caplog.text


@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_that_has_failed_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(index: int) -> str:
        if index == 0:
            raise pynvml.NVMLError_GpuIsLost
        return "handle"

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", handle)
    assert set(gpu_info()) == {"1"}
    assert "GPU 0 could not be described" in caplog.text


def test_a_driver_of_another_version_shows_none_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mismatched() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    monkeypatch.setattr(pynvml, "nvmlInit", mismatched)
    assert gpu_info() == {}
    assert "The GPUs could not be described: RM has detected an NVML/RM version" in caplog.text
