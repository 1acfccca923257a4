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
