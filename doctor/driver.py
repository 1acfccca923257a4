"""The driver, the CUDA that it runs, and NVIDIA's container around us."""

import os
from collections.abc import Mapping
from pathlib import Path

import pynvml
import torch

from doctor.finding import Finding, good, missing, unchecked, wrong
from stages.gpu import UNKNOWN, driver_version

ENTRYPOINT = Path("/opt/nvidia/nvidia_entrypoint.sh")
COMPATIBLE = "CUDA Driver OK"  # in _CUDA_COMPAT_STATUS, which the entrypoint sets


def look_at_driver(device: str) -> list[Finding]:
    """The driver with its GPUs, and its CUDA against that of PyTorch."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        sentence = (
            f"NVIDIA's driver cannot be asked: {error}. For a GPU install it (`nvidia-smi` must"
            " list the GPU); in a container start that with its GPU (docker run --gpus all)."
        )
        return [missing("driver", device, sentence)]
    try:
        version = str(pynvml.nvmlSystemGetDriverVersion())
        runs = divmod(int(pynvml.nvmlSystemGetCudaDriverVersion_v2()), 1000)
        gpus = [_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        sentence = f"The driver does not answer: {error}. Look at `nvidia-smi` and `dmesg`."
        return [missing("driver", device, sentence)]
    finally:
        pynvml.nvmlShutdown()
    if not gpus:
        return [missing("driver", device, f"Driver {version} has no GPU; see `lspci`.")]
    found = good("driver", f"{version}, with {'; '.join(gpus)}.")
    return [found, compare_cuda(device, version, (runs[0], runs[1] // 10), torch.version.cuda)]


def _gpu(index: int) -> str:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    gigabytes = pynvml.nvmlDeviceGetMemoryInfo(handle).total / 1e9
    return f"GPU {index}: {pynvml.nvmlDeviceGetName(handle)} of {gigabytes:.0f} GB"


def compare_cuda(device: str, driver: str, runs: tuple[int, int], needed: str | None) -> Finding:
    """The CUDA that a driver runs, as (12, 4), against that of PyTorch, as `13.0`.

    Within a major version newer libraries run on an older driver:
    https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
    """
    has = f"{runs[0]}.{runs[1]}"
    if needed is None:
        return missing(
            "CUDA",
            device,
            f"PyTorch {torch.__version__} is built for CPUs only, and driver {driver} has a GPU."
            " For the GPU install PyTorch with CUDA (`make run` without TORCH_BACKEND=cpu).",
        )
    needs = tuple(map(int, needed.split(".")))
    if runs[0] < needs[0]:
        return wrong(
            "CUDA",
            f"Driver {driver} runs CUDA {has}, and PyTorch {torch.__version__} needs {needed}."
            f" Install a driver for CUDA {needs[0]}; or use NVIDIA's container, which on a data"
            f" center's GPU brings what is missing, where it begins through {ENTRYPOINT}.",
        )
    note = ""
    if runs < needs:
        note = f" Code that is compiled when it is first run may need a driver for {needed}."
    return good("CUDA", f"The driver runs {has}; PyTorch needs {needed}.{note}")


def look_at_container(environment: Mapping[str, str] = os.environ) -> Finding:
    """NVIDIA's container, and whether its entrypoint made up for an older driver."""
    built_for = environment.get("CUDA_DRIVER_VERSION")
    if not ENTRYPOINT.exists() or built_for is None:
        return unchecked(
            "container",
            "This is none of NVIDIA's, in which production runs. Run this there as well: docs/"
            "one-box.md says how.",
        )
    name = f"{environment.get('NVIDIA_PRODUCT_NAME', 'NVIDIA')} container"
    driver = driver_version()
    here = f"{name}, made for driver {built_for}; here is {driver}"
    if driver == UNKNOWN:
        return unchecked("container", f"{name}; there is no driver to compare with.")
    if major(driver) >= major(built_for):
        return good("container", f"{here}.")
    status = environment.get("_CUDA_COMPAT_STATUS")
    if status == COMPATIBLE:
        return good("container", f"{here}, and forward compatibility makes up for it.")
    why = status or f"it was not begun through {ENTRYPOINT}"
    return wrong(
        "container",
        f"{here}, and forward compatibility is off: {why}. Begin it through that entrypoint, or"
        f" install driver {built_for} or newer.",
    )


def major(version: str) -> int:
    """The first number of a version."""
    return int(version.partition(".")[0])
