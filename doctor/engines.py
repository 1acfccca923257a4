"""Each engine of a repository, loaded and run once on the device that was asked for."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, TYPE_INT64, ModelConfig

from doctor.apart import Failed, apart
from doctor.finding import Finding, good, unchecked, wrong
from export.tensorrt_engine import load_tensorrt
from export.triton_config import read_config
from stages.engines import find_engine
from stages.machine import MANIFEST, machine_refusal
from stages.step_cache import FEATURE, StepCache, read_step_cache
from stages.tiles import PLAN

SIDE = 64  # of the latents that an engine is run with
DTYPES = {TYPE_FP32: torch.float32, TYPE_INT64: torch.int64}


@dataclass(frozen=True)
class Ran:
    """device: where the engine ran. taken: bytes of the GPU's memory, 0 on a CPU."""

    device: str
    load_s: float
    run_s: float
    taken: int


def look_at_engines(repository: Path, device: str) -> Iterator[Finding]:
    """One finding an engine, each as soon as it is known."""
    manifest = json.loads((repository / MANIFEST).read_text())
    for name, entry in manifest["engines"].items():
        yield look_at_engine(repository, name, entry, device, manifest["command"])


def look_at_engine(
    repository: Path, name: str, entry: dict[str, Any], device: str, command: str
) -> Finding:
    """entry: what the manifest says of it. command: makes the repository again."""
    subject = f"engine {name}"
    what = f"{entry['engine']} in {entry['precision']}"
    if library := missing_library(entry["engine"]):
        return unchecked(
            subject, f"{what}: {library} is not installed here; look where it is served."
        )
    if why := machine_refusal(repository, [name]):
        return wrong(subject, why)
    try:
        ran = apart(run_engine, repository, name, entry["engine"], device)
    except Failed as error:
        return wrong(subject, f"{what} does not run on {device}: {error}.")
    if ran.device != device:
        return wrong(
            subject,
            f"{what} runs on {ran.device}, and {device} was asked for. Make it again here:"
            f" {command}",
        )
    memory = f", takes {ran.taken / 1e6:.0f} MB of the GPU" if ran.taken else ""
    note = ""
    if device != "cpu" and entry.get("verified_on") == "cpu":
        note = " The export has compared its numbers with PyTorch's on the CPU only."
    return good(
        subject,
        f"{what}: loaded on {device} in {ran.load_s:.1f} s{memory}; one run takes"
        f" {1000 * ran.run_s:.0f} ms.{note}",
    )


def missing_library(engine: str) -> str | None:
    """What runs engines of this kind and is not installed; None where it is."""
    library = {"onnx": "onnxruntime", "aoti": "torch", "tensorrt": "tensorrt"}[engine]
    return None if find_spec(library) else library


def run_engine(repository: Path, name: str, engine: str, device: str) -> Ran:
    """Load an engine and run it with zeros, twice; the second run is timed.

    Raises ValueError for an output with what is no number, and whatever the libraries raise.
    """
    folder = repository / name / "1"
    config = read_config(repository / name / "config.pbtxt")
    outputs = [tensor.name for tensor in config.output]
    if device != "cpu":
        torch.cuda.set_device(device)  # TensorRT takes the current one
    free_before = free_bytes(device)
    began = time.perf_counter()
    if engine == "tensorrt":
        run: Callable[[dict[str, torch.Tensor]], Any] = load_tensorrt(folder / PLAN, outputs)
        where = device
    else:
        found = find_engine(folder, device, outputs)
        if found is None:
            raise FileNotFoundError(f"{folder} has no engine; export the repository again")
        run, where = found, found.device
    loaded = time.perf_counter()
    manifest = json.loads((repository / MANIFEST).read_text())
    inputs = zeros(config, read_step_cache(manifest.get("step_cache")))
    for _ in range(2):
        run_began = time.perf_counter()
        result = run(inputs)
        made = [torch.as_tensor(output).cpu() for output in result]
        run_s = time.perf_counter() - run_began
    if not all(bool(output.isfinite().all()) for output in made):
        raise ValueError("it answers with what is no number")
    return Ran(where, loaded - began, run_s, free_before - free_bytes(device))


def zeros(config: ModelConfig, step_cache: StepCache | None = None) -> dict[str, torch.Tensor]:
    """One row of zeros for every input of a configuration. step_cache: of the repository."""
    inputs = {}
    for tensor in config.input:
        side = SIDE // step_cache.stride if step_cache and tensor.name == FEATURE else SIDE
        sizes = [1, *(side if size == -1 else size for size in tensor.dims)]
        inputs[tensor.name] = torch.zeros(sizes, dtype=DTYPES[tensor.data_type])
    return inputs


def free_bytes(device: str) -> int:
    """Of the GPU's memory; 0 for a CPU."""
    return 0 if device == "cpu" else int(torch.cuda.mem_get_info(device)[0])
