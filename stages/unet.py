"""The UNet as the loop calls it; see `UNet` in export/networks.py for the shapes.

A call blocks, and the loop prepares the next one only then: a step needs the one before, and the
processors of a CPU have no room beside the engine.
"""

import importlib.util
import logging
from pathlib import Path

import torch
import triton_python_backend_utils as pb_utils
from torch.utils.dlpack import from_dlpack

from stages import gpu_memory
from stages.bls import call_model
from stages.cuda_graph import CudaGraph
from stages.engines import PACKAGE, AotiEngine, Engine, find_engine
from stages.errors import engine_error
from stages.gpu import gpu_refusal
from stages.graphs import GraphedEngine
from stages.machine import machine_refusal
from stages.step_cache import FEATURE
from stages.tiles import MAX_TILE, PLAN, checked_max_tile

OUTPUT = "out_sample"
UNET, SHALLOW = "unet", "unet_shallow"  # the second where there is a step cache
logger = logging.getLogger("denoise")


def load_unet(
    folder: Path,
    device: str,
    where: str,
    cuda_graphs: str = "off",
    has_step_cache: bool = False,
) -> "OwnUNet | BlsUNet":
    """The engine in a version's folder of `unet`, in this process if it can run here.

    device: where it is to run, `cpu` or `cuda:0`; where it does is the result's `device`.
    where: "denoise"; or "bls", by which an engine is called as well whose library this Python does
    not have. cuda_graphs: "auto" for those of its calls on a GPU, or "off". has_step_cache: there
    is `unet_shallow` too. Raises ValueError for any other word.
    """
    outputs = {UNET: [OUTPUT, FEATURE], SHALLOW: [OUTPUT]} if has_step_cache else {UNET: [OUTPUT]}
    if where not in ("denoise", "bls"):
        raise ValueError(
            f'The parameter unet of denoise is {where}: it must be "denoise" or "bls".'
        )
    if cuda_graphs not in ("auto", "off"):
        raise ValueError(
            f'The parameter cuda_graphs of denoise is {cuda_graphs}: it must be "auto" or "off".'
        )
    engines: dict[str, Engine] = {}
    for name, names in outputs.items() if where == "denoise" else ():
        found = own_engine(folder.parents[1] / name / folder.name, device, names)
        if found is not None:
            engines[name] = found
    if not any(isinstance(engine, AotiEngine) for engine in engines.values()):
        torch.set_num_threads(1)  # beside the engine there are a few additions a step
    if len(engines) < len(outputs):
        return BlsUNet(device, outputs)
    for name, engine in engines.items():
        if cuda_graphs == "auto" and engine.device != "cpu":
            room = gpu_memory.graphs_bytes(memory_of(torch.device(engine.device)))
            engines[name] = GraphedEngine(engine, CudaGraph, room // len(engines))
    return OwnUNet(engines[UNET], engines.get(SHALLOW))


def read_device(value: str) -> str:
    """The parameter `device` of denoise, as `cpu` or `cuda:0`.

    Raises ValueError, for "auto" where the GPU that is here cannot be used.
    """
    if value == "auto":
        if why := gpu_refusal():
            raise ValueError(why)
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if value not in names:
        raise ValueError(
            f"The parameter device of denoise is {value}, and PyTorch sees {', '.join(names)}. A"
            " GPU that is missing there needs a driver for the CUDA of this PyTorch,"
            f" {torch.version.cuda or 'which has none'}."
        )
    return value


def max_tile_of(value: str, folder: Path, device: torch.device) -> int:
    """The parameter `max_tile` of denoise. Raises ValueError.

    "auto" goes by the memory of the device; a plan of TensorRT in the folder takes no larger ones.
    """
    if value != "auto":
        return checked_max_tile("MAX_TILE", value)
    if device.type != "cuda" or (folder / PLAN).is_file():
        return MAX_TILE
    return gpu_memory.max_tile(memory_of(device))


def rows_at_once(most: int, device: torch.device) -> int:
    """Rows of a UNet call: as the configuration has it, on a GPU no more than fit."""
    return gpu_memory.unet_rows(memory_of(device), most) if device.type == "cuda" else most


def memory_of(device: torch.device) -> int:
    """Bytes of a GPU, all of them."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def own_engine(folder: Path, device: str, outputs: list[str]) -> Engine | None:
    """None where this Python has no library for it. Raises for one of another machine."""
    name = folder.parent.name
    is_compiled = (folder / PACKAGE).is_dir()
    if (folder / PLAN).is_file():
        is_compiled = device != "cpu" and importlib.util.find_spec("tensorrt") is not None
    if is_compiled and (why := machine_refusal(folder.parents[1], [name])):
        raise pb_utils.TritonModelException(why)
    engine = find_engine(folder, device, outputs)
    if engine is None:
        logger.warning(
            "The engine in %s is called through Triton, a millisecond more a step: this Python has"
            " no library for it (onnxruntime for ONNX, tensorrt for TensorRT).",
            folder,
        )
    return engine


class OwnUNet:
    """Engines in this process: the whole UNet's and, with a step cache, its outermost blocks'.

    device: where they run, so where the latents belong.
    """

    def __init__(self, engine: Engine, shallow: Engine | None = None) -> None:
        self._engine, self._shallow = engine, shallow
        self.device = torch.device(engine.device)

    def __call__(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        engine = self._shallow if FEATURE in inputs else self._engine
        assert engine is not None
        try:
            outputs = engine(inputs)
        except Exception as error:  # the libraries' exceptions share no class of their own
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # what PyTorch keeps, ONNX Runtime may need
            raise engine_error("unet", error) from error
        return [torch.as_tensor(output, device=self.device) for output in outputs]


class BlsUNet:
    """The model `unet`, called by BLS, or `unet_shallow`. device: where the latents belong.

    outputs: of each, by its name.
    Tensors cross as DLPack: those on a GPU stay there, and an answer is not copied out of the
    memory that it shares with Triton, which lives as long as the answer.
    """

    def __init__(self, device: str, outputs: dict[str, list[str]]) -> None:
        self.device, self._outputs = torch.device(device), outputs
        kind = (
            pb_utils.TRITONSERVER_MEMORY_GPU
            if self.device.type == "cuda"
            else pb_utils.TRITONSERVER_MEMORY_CPU
        )
        self._memory = pb_utils.PreferredMemory(kind, self.device.index or 0)

    def __call__(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        tensors = [pb_utils.Tensor.from_dlpack(name, value) for name, value in inputs.items()]
        name = SHALLOW if FEATURE in inputs else UNET
        outputs = call_model(name, tensors, self._outputs[name], preferred_memory=self._memory)
        return [from_dlpack(output).to(self.device) for output in outputs]
