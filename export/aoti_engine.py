"""A network as an AOTInductor package: compiled ahead of time for this machine's CPU or GPU."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._inductor.utils import fresh_cache

from export.checkpoint import Checkpoint
from export.exactness import EXPORT_SIZE, Run, seeded_inputs
from export.networks import Inputs, Network
from stages.engines import AotiEngine

# Sizes stay free, so there are no CUDA graphs: Inductor records one for each fixed size. What is
# left, max_autotune, searches long for the fastest matrix products; not measured on a GPU yet. On
# a CPU the weights become constants in the layout of oneDNN's kernels.
OPTIONS: dict[str, dict[str, Any]] = {
    "cuda": {"max_autotune": True},
    "cpu": {"freezing": True},
}


def export_aoti(
    network: Network, module: nn.Module, checkpoint: Checkpoint, path: Path, device: str
) -> None:
    """Write `model.pt2` for a device, `cpu` or `cuda`; a minute or many."""
    if device == "cuda":
        module = copy.deepcopy(module).to(device)
    inputs = {
        name: tensor.to(device)
        for name, tensor in seeded_inputs(network, checkpoint, EXPORT_SIZE).items()
    }
    with warnings.catch_warnings(), torch.no_grad():
        # What PyTorch's compiler says about itself; nothing in it is about this network.
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (), kwargs=inputs, dynamic_shapes=network.dynamic)
        # Gigabytes pass through the cache; beside the package they end with what is built there.
        with fresh_cache(dir=str(path.parent)):
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs=OPTIONS[device]
            )


def load_aoti(path: Path, device: str) -> Run:
    """The package, as it is served. device: `cpu` or `cuda`, as it was compiled for."""
    engine = AotiEngine(path, "cuda:0" if device == "cuda" else "cpu")

    def run(inputs: Inputs) -> torch.Tensor:
        return torch.as_tensor(engine(inputs)[0]).cpu()

    return run
