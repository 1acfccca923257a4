"""The GPUs that this machine's driver shows, in ai-runner's words.

What a driver does not tell is left out and logged: go-livepeer asks these routes at its start, and
a GPU that is partitioned (MIG) has no utilization, one that has failed has nothing at all.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pynvml

logger = logging.getLogger("gateway")

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
    gpus: dict[str, Description] = {}
    with _left_out_where_it_fails("The GPUs"), _nvml():
        for index in range(pynvml.nvmlDeviceGetCount()):
            name = f"GPU {index}"
            with _left_out_where_it_fails(name):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                gpus[str(index)] = _identity(handle)
                for more in (_memory, describe):
                    with _left_out_where_it_fails(f"A part of {name}"):
                        gpus[str(index)] |= more(handle)
    return gpus


def _identity(handle: Any) -> Description:
    return {"id": pynvml.nvmlDeviceGetUUID(handle), "name": pynvml.nvmlDeviceGetName(handle)}


def _memory(handle: Any) -> Description:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {"memory_total": memory.total, "memory_free": memory.free}


@contextmanager
def _nvml() -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


@contextmanager
def _left_out_where_it_fails(what: str) -> Iterator[None]:
    try:
        yield
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        pass  # a machine without an NVIDIA GPU
    except pynvml.NVMLError as error:
        logger.warning("%s could not be described: %s", what, error)
