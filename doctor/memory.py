"""What serving a repository will hold, against what the device has."""

import os
from pathlib import Path

import torch

from doctor.finding import Finding, good, wrong
from export.triton_config import read_config

MEGABYTE = 1_000_000


def look_at_memory(repository: Path, device: str) -> Finding:
    """The engines and the budget of requests; what a run takes beside them is not in it."""
    engines = engine_bytes(repository)
    budget = int(os.environ.get("MEMORY_BUDGET_MB") or denoise_budget(repository)) * MEGABYTE
    free, total = device_memory(device)
    planned = (
        f"{megabytes(engines)} for the engines and"
        f" {megabytes(budget)} for requests (MEMORY_BUDGET_MB); {device} has {megabytes(free)} of"
        f" {megabytes(total)} free"
    )
    if engines + budget > free:
        return wrong(
            "memory",
            f"{planned}. That is too little: end what else uses it, lower MEMORY_BUDGET_MB, or"
            " export unet in fp16.",
        )
    return good("memory", f"{planned}.")


def engine_bytes(repository: Path) -> int:
    """Of all engines' files; each is loaded once, that of unet by denoise or by Triton."""
    return sum(
        path.stat().st_size
        for config in repository.glob("*/config.pbtxt")
        for path in (config.parent / "1").rglob("*")
        if path.is_file() and path.suffix != ".py"
    )


def denoise_budget(repository: Path) -> str:
    """The parameter memory_budget_mb of denoise."""
    parameters = read_config(repository / "denoise" / "config.pbtxt").parameters
    value: str = parameters["memory_budget_mb"].string_value
    return value


def device_memory(device: str) -> tuple[int, int]:
    """Bytes that are free, and all."""
    if device != "cpu":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    found = {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines}
    return found["MemAvailable"], found["MemTotal"]


def megabytes(count: int) -> str:
    """Like 512 MB."""
    return f"{count / MEGABYTE:.0f} MB"
