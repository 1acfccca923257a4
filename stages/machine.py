"""The machine that an engine was compiled for, against the one that is to run it.

The export writes the one, `upscale serve`, denoise and the backends look at the other.
"""

import json
import platform
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"  # what the export says of a repository, at its top
# Compiled code uses what the compiler finds; these families are those that it looks for.
FAMILIES = ("adx", "amx", "avx", "bmi", "f16c", "fma", "gfni", "movbe", "sse4", "vaes", "vpclmul")


def cpu_instructions(cpuinfo: str) -> list[str]:
    """The instruction sets in Linux' /proc/cpuinfo that compiled code may use."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return sorted(flag for flag in flags.split()[2:] if flag.startswith(FAMILIES))


def describe_machine(engine: str, device: str) -> dict[str, Any]:
    """This machine, as far as a compiled engine depends on it; {} for ONNX, which does not.

    engine: `onnx`, `aoti` or `tensorrt`; device: `cpu` or `cuda`.
    """
    if engine == "onnx":
        return {}
    machine: dict[str, Any] = {}
    if engine == "aoti":
        import torch  # noqa: PLC0415 - a second that `upscale serve` need not wait for ONNX

        machine["torch"] = str(torch.__version__)
    if engine == "tensorrt":
        import tensorrt  # noqa: PLC0415 - in NVIDIA's containers only

        machine["tensorrt"] = tensorrt.__version__
    if device == "cuda":
        import torch  # noqa: PLC0415

        major, minor = torch.cuda.get_device_capability()
        machine |= {"gpu": torch.cuda.get_device_name(), "capability": f"{major}.{minor}"}
    else:
        text = Path("/proc/cpuinfo").read_text()
        names = [line for line in text.splitlines() if line.startswith("model name")]
        machine["cpu"] = names[0].split(":", 1)[1].strip() if names else platform.machine()
        machine["instructions"] = cpu_instructions(text)
    return machine


def mismatch(made_for: dict[str, Any], machine: dict[str, Any]) -> str | None:
    """Why an engine made for one machine cannot run on another, or None.

    A CPU's name may differ as long as it has all instructions. Of a GPU the compute capability
    counts: an H100 runs what was compiled on an H200. A plan of TensorRT is for its model alone:
    https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html
    """
    missing = set(made_for.get("instructions", [])) - set(machine.get("instructions", []))
    if missing and "instructions" in machine:
        return f"a CPU with {', '.join(sorted(missing))}, which this one lacks"
    keys = ("gpu", "capability", "tensorrt") if "tensorrt" in made_for else ("capability", "torch")
    for key in keys:
        if key in made_for and made_for[key] != machine.get(key):
            return f"{key} {made_for[key]}; here it is {machine.get(key, 'none')}"
    return None


def is_verified_on_cpu(repository: Path) -> bool:
    """Whether the export ran every engine of a repository on the CPU, as its manifest says."""
    path = repository / MANIFEST
    if not path.is_file():
        return False
    engines = json.loads(path.read_text()).get("engines", {}).values()
    return all(entry.get("verified_on") == "cpu" for entry in engines)


def machine_refusal(repository: Path, names: list[str] | None = None) -> str | None:
    """Why the engines of an exported repository cannot run here, or None: its manifest says.

    names: of the networks to look at; None is all. A repository without a manifest, or one that
    does not name its engines, says nothing.
    """
    path = repository / MANIFEST
    if not path.is_file():
        return None
    manifest = json.loads(path.read_text())
    for name, entry in manifest.get("engines", {}).items():
        if names is not None and name not in names:
            continue
        engine, made_for = entry["engine"], entry["machine"]
        why = mismatch(made_for, this_machine(engine, made_for)) if made_for else None
        if why:
            return (
                f"The {engine} engine of {name} was made for {why}. Make it again on this machine:"
                f" {manifest['command']}"
            )
    return None


def this_machine(engine: str, made_for: dict[str, Any]) -> dict[str, Any]:
    """This machine, looked at as that of an engine; empty where a library or a GPU is missing."""
    try:
        return describe_machine(engine, "cuda" if "gpu" in made_for else "cpu")
    except (ImportError, RuntimeError, AssertionError):  # no TensorRT; no GPU; no CUDA in PyTorch
        return {}
