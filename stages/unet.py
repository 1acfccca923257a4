"""The UNet as the loop calls it; see `UNet` in export/networks.py for the shapes.

A call blocks, and the loop prepares the next one only then: a step needs the one before, and the
processors of a CPU have no room beside the engine.
"""

import logging
from pathlib import Path

import torch
import triton_python_backend_utils as pb_utils
from torch.utils.dlpack import from_dlpack

from stages.engines import AotiEngine, Engine, find_engine
from stages.machine import refusal
from stages.prediction import UNet

OUTPUT = "out_sample"
logger = logging.getLogger("denoise")


def load_unet(folder: Path, device: torch.device, where: str) -> UNet:
    """The engine in a version's folder of `unet`, in this process if it can run here.

    where: "denoise"; or "bls", by which an engine is called as well whose library this Python does
    not have. Raises ValueError for any other word.
    """
    if where not in ("denoise", "bls"):
        raise ValueError(
            f'The parameter unet of denoise is {where}: it must be "denoise" or "bls".'
        )
    engine = own_engine(folder, device) if where == "denoise" else None
    if not isinstance(engine, AotiEngine):
        torch.set_num_threads(1)  # beside the engine there are a few additions a step
    if engine is None:
        return BlsUNet(device)
    return lambda inputs: torch.as_tensor(engine(inputs)[0], device=device)


def own_engine(folder: Path, device: torch.device) -> Engine | None:
    """None where this Python has no library for it. Raises for one of another machine."""
    if (folder / "model.pt2").is_file() and (why := refusal(folder.parents[1], ["unet"])):
        raise pb_utils.TritonModelException(why)
    name = f"cuda:{device.index or 0}" if device.type == "cuda" else "cpu"
    engine = find_engine(folder, name, [OUTPUT])
    if engine is None:
        logger.warning("no library for the engine in %s here: unet is called by BLS", folder)
    return engine


class BlsUNet:
    """The model `unet`, called by BLS.

    Tensors cross as DLPack: those on a GPU stay there, and an answer is not copied out of the
    memory that it shares with Triton, which lives as long as the answer.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        kind = (
            pb_utils.TRITONSERVER_MEMORY_GPU
            if device.type == "cuda"
            else pb_utils.TRITONSERVER_MEMORY_CPU
        )
        self._memory = pb_utils.PreferredMemory(kind, device.index or 0)

    def __call__(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        response = pb_utils.InferenceRequest(
            model_name="unet",
            requested_output_names=[OUTPUT],
            inputs=[pb_utils.Tensor.from_dlpack(name, value) for name, value in inputs.items()],
            preferred_memory=self._memory,
        ).exec()
        if response.has_error():
            raise RuntimeError(f"unet: {response.error().message()}")
        out_sample = pb_utils.get_output_tensor_by_name(response, OUTPUT)
        return from_dlpack(out_sample).to(self._device)
