"""GPUs that are here and that PyTorch cannot use: else the CPU would take their place unnoticed."""

import os
import re
from pathlib import Path

import torch

DEVICES = Path("/dev")  # of the GPUs that a container was given, where it was given any
DRIVER = Path("/proc/driver/nvidia/version")
UNKNOWN = "unknown"
HIDDEN = ("", "-1")  # of CUDA_VISIBLE_DEVICES


def gpu_refusal() -> str | None:
    """Why PyTorch cannot use a GPU that is here, with the driver's version; or None.

    A GPU that somebody has hidden is not asked for.
    """
    found = sorted(DEVICES.glob("nvidia[0-9]*"))
    if not found or os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN or torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        why = "it sees none"
    except (AssertionError, RuntimeError) as error:  # made without CUDA; everything else
        why = str(error).rstrip(".")
    return (
        f"PyTorch {torch.__version__} cannot use the GPU {found[0]} with driver {driver_version()}:"
        f" {why}. Install what is missing, or hide the GPU, CUDA_VISIBLE_DEVICES=, to run on the"
        " CPU."
    )


def driver_version() -> str:
    """Like 550.54.15, or UNKNOWN."""
    text = DRIVER.read_text() if DRIVER.is_file() else ""
    version = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return version[0] if version else UNKNOWN
