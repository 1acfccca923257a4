"""The device that was asked for, and whether PyTorch can use it."""

import os

import torch

from doctor.finding import Finding, good, wrong
from stages.gpu import HIDDEN, gpu_refusal

SUBJECT = "device"


def choose_device(asked: str) -> tuple[str, Finding]:
    """The device to look at, `cpu` or `cuda:0`, and what was found of it.

    asked: `auto`, as denoise takes it: the first GPU that PyTorch sees, else the CPU.
    """
    count = torch.cuda.device_count()
    if asked == "auto":
        if why := gpu_refusal():
            return "cuda:0", wrong(SUBJECT, why)
        asked = "cuda:0" if count else "cpu"
    names = ["cpu", *(f"cuda:{index}" for index in range(count))]
    if asked not in names:
        why = gpu_refusal() or (
            f"PyTorch {torch.__version__} sees {', '.join(names)}. Name one of them with --device;"
            " in a container give it the GPU (docker run --gpus all)."
        )
        return asked, wrong(SUBJECT, f"{asked} was asked for. {why}")
    if asked == "cpu":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN
        why = "CUDA_VISIBLE_DEVICES hides GPUs" if hidden else "PyTorch sees no GPU"
        why = "it was asked for" if count else why
        return asked, good(SUBJECT, f"The CPU, with {torch.get_num_threads()} threads: {why}.")
    major, minor = torch.cuda.get_device_capability(asked)
    name = torch.cuda.get_device_name(asked)
    return asked, good(SUBJECT, f"{asked}, {name}, compute capability {major}.{minor}.")


def visible_devices(device: str) -> str:
    """CUDA_VISIBLE_DEVICES for a process that is to see this device alone."""
    if device == "cpu":
        return ""
    index = int(device.removeprefix("cuda:"))
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    return names.split(",")[index] if names else str(index)
