"""A network as an AOTInductor package: compiled ahead of time for this machine's CPU or GPU."""

import copy
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._inductor.utils import fresh_cache

from export.checkpoint import Checkpoint
from export.exactness import EXPORT_SIZE, Run, Size, seeded_inputs
from export.networks import Inputs, Network
from stages.engines import AotiEngine

# Sizes stay free, so there are no CUDA graphs: Inductor records one for each fixed size. What is
# left, max_autotune, searches long for the fastest matrix products, at the size of the example. The
# channels are last in memory, as tensor cores want them: with free sizes Inductor has to be told.
# None of it measured on a GPU yet. On a CPU the weights become constants in the layout of oneDNN's
# kernels.
OPTIONS: dict[str, dict[str, Any]] = {
    "cuda": {"max_autotune": True, "force_layout_optimization": True},
    "cpu": {"freezing": True},
}
# The example: a guided image of the usual size; its sides differ, else they were taken for one.
SIZES: dict[str, Size] = {"cuda": (2, 128, 136), "cpu": EXPORT_SIZE}


def export_aoti(
    network: Network, module: nn.Module, checkpoint: Checkpoint, path: Path, device: str
) -> None:
    """Write the package for a device, `cpu` or `cuda`, unpacked into a folder; a minute or many."""
    if device == "cuda":
        module = copy.deepcopy(module).to(device)
    inputs = {
        name: tensor.to(device)
        for name, tensor in seeded_inputs(network, checkpoint, SIZES[device]).items()
    }
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        # What PyTorch's compiler says about itself; nothing in it is about this network.
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (), kwargs=inputs, dynamic_shapes=network.dynamic)
        # Gigabytes pass through the cache; beside the package they end with what is built there.
        with fresh_cache(dir=folder):
            package = torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(Path(folder, "model.pt2")),
                inductor_configs=OPTIONS[device],
            )
        with zipfile.ZipFile(package) as archive:
            archive.extractall(path)


def load_aoti(path: Path, device: str) -> Run:
    """The package in a folder, as it is served. device: `cpu` or `cuda`, as it was compiled for."""
    engine = AotiEngine(path, "cuda:0" if device == "cuda" else "cpu")

    def run(inputs: Inputs) -> list[torch.Tensor]:
        return [torch.as_tensor(output).cpu() for output in engine(inputs)]

    return run
