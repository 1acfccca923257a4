"""The GPUs that this machine's driver shows, in ai-runner's words."""

from collections.abc import Callable
from typing import Any

import pynvml

Description = dict[str, Any]


def gpu_info() -> dict[str, Description]:
    """By index: id, name, memory in bytes, compute capability; empty without an NVIDIA driver."""

    def info(handle: Any) -> Description:
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        return {"major": major, "minor": minor}

    return _each_gpu(info)


def gpu_stats() -> dict[str, Description]:
    """By index: id, name, memory in bytes, utilization in percent; empty without a driver."""

    def stats(handle: Any) -> Description:
        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle)
        return {"utilization_compute": utilization.gpu, "utilization_memory": utilization.memory}

    return _each_gpu(stats)


def _each_gpu(describe: Callable[[Any], Description]) -> dict[str, Description]:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return {}
    try:
        gpus = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            gpus[str(index)] = {
                "id": pynvml.nvmlDeviceGetUUID(handle),
                "name": pynvml.nvmlDeviceGetName(handle),
                "memory_total": memory.total,
                "memory_free": memory.free,
                **describe(handle),
            }
        return gpus
    finally:
        pynvml.nvmlShutdown()
