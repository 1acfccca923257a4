"""Which engine each network gets, in which precision; and what this machine cannot make."""

import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import torch

from export.errors import ExportError
from export.networks import Network
from export.precision import Precision
from stages.gpu import gpu_refusal


class Engine(StrEnum):
    """What runs a network: ONNX Runtime, PyTorch's AOTInductor or TensorRT."""

    ONNX = "onnx"
    AOTI = "aoti"
    TENSORRT = "tensorrt"


@dataclass(frozen=True)
class Choice:
    """One network's engine."""

    engine: Engine = Engine.ONNX
    precision: Precision = Precision.FP32


# What a host with a GPU gets unless told otherwise: as diffusers runs the pipeline in float16.
# Not measured on a GPU yet.
GPU_PRECISIONS = {"unet": Precision.FP16, "text_encoder": Precision.FP16}


def has_gpu() -> bool:
    """Whether engines are made for a GPU: PyTorch sees one.

    Raises ExportError where a PyTorch for GPUs cannot use the one that is here.
    """
    if torch.version.cuda and (why := gpu_refusal()):
        raise ExportError(why)
    return torch.cuda.is_available()


def choose_engines(
    networks: Sequence[Network], engines: Sequence[str], precisions: Sequence[str], on_gpu: bool
) -> dict[str, Choice]:
    """The choice for each network, by its name.

    engines, precisions: as given at the command line: `bf16` for all networks, `unet=bf16` for one.
    A precision for all leaves those in fp32 that are refused in it; see `Network.reduced`.
    Raises ExportError for a value or a network that is none, and for what cannot be made here.
    """
    names = [network.name for network in networks if not network.of]
    engine_of = _by_network("--engine", engines, [e.value for e in Engine], names)
    precision_of = _by_network("--precision", precisions, [p.value for p in Precision], names)
    choices = {}
    for network in networks:
        name = network.of or network.name
        default = GPU_PRECISIONS.get(name, Precision.FP32) if on_gpu else Precision.FP32
        engine = Engine(engine_of.get(name) or engine_of.get("") or Engine.ONNX)
        precision = Precision(precision_of.get(name) or precision_of.get("") or default)
        if name not in precision_of and not network.runs_in(precision):
            precision = Precision.FP32
        choices[network.name] = Choice(engine, precision)
        if (network.beside or network.of) and engine is not Engine.ONNX:
            raise ExportError(
                f"unet as {engine} with --step-cache: its two parts were tried in ONNX only. Choose"
                " --engine unet=onnx, or export without."
            )
        if reason := choice_refusal(network, choices[network.name], on_gpu):
            raise ExportError(reason)
    return choices


def choice_refusal(network: Network, choice: Choice, on_gpu: bool) -> str | None:
    """Why an engine cannot be had on this machine, and what can instead; or None."""
    if not network.runs_in(choice.precision):
        allowed = [p.value for p in Precision if network.runs_in(p)]
        return (
            f"{network.name} in {choice.precision}: {network.why_not}"
            f" Allowed: {' or '.join(allowed)}."
        )
    if choice.engine is Engine.TENSORRT and not on_gpu:
        return (
            f"{network.name} as TensorRT: it is built on the GPU that will run it, and this machine"
            " has none that PyTorch sees. Allowed here: --engine onnx or aoti."
        )
    if choice.engine is Engine.TENSORRT and find_spec("tensorrt") is None:
        return (
            f"{network.name} as TensorRT: its Python package is not installed; install the extra"
            " `tensorrt`, in the release of the container that will run it."
        )
    if choice.engine is Engine.AOTI and (why := compiler_refusal(on_gpu)):
        return f"{network.name} as AOTInductor: it {why}; or choose --engine onnx."
    if choice == Choice(Engine.ONNX, Precision.BF16) and not on_gpu:
        return (
            f"{network.name} in bf16 as ONNX: ONNX Runtime has no bf16 convolutions on CPUs."
            " Allowed here: --engine aoti in bf16, or onnx in fp16 or fp32."
        )
    return None


def compiler_refusal(on_gpu: bool) -> str | None:
    """What Inductor compiles with and is not here, or None."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return (
            f"compiles with {compiler}, which is not installed (Debian: apt install g++; another"
            " one: CXX)"
        )
    if not on_gpu:
        return None
    from torch.utils import cpp_extension  # noqa: PLC0415 - needs setuptools, a CPU does not

    if cpp_extension.CUDA_HOME is None:
        return (
            "needs the CUDA toolkit, which is not found: install that of PyTorch's release,"
            f" {torch.version.cuda}, and set CUDA_HOME to its folder"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "needs Python.h, which is not installed (Debian: apt install python3-dev)"
    return None


def warning(choices: Mapping[str, Choice], on_gpu: bool) -> str | None:
    """What somebody may not expect of what was chosen, in a sentence, or None."""
    halves = [name for name, c in choices.items() if c == Choice(Engine.ONNX, Precision.FP16)]
    if on_gpu or not halves:
        return None
    return (
        f"{', '.join(halves)} in fp16 as ONNX: for a GPU. ONNX Runtime has no fp16 arithmetic on"
        " CPUs: it converts to fp32 and takes more memory and time there than fp32 does."
    )


def _by_network(
    option: str, given: Sequence[str], values: Sequence[str], names: Sequence[str]
) -> Mapping[str, str]:
    """Values by network; "" is all networks."""
    found = {}
    for text in given:
        name, _, value = text.rpartition("=")
        if value not in values:
            raise ExportError(f"{option} {text}: {value!r} is none of {', '.join(values)}.")
        if name and name not in names:
            raise ExportError(
                f"{option} {text}: there is no network {name!r}; there are {', '.join(names)}."
            )
        found[name] = value
    return found
