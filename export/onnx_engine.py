"""Write a network as ONNX and check the file against PyTorch."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from export.checkpoint import Checkpoint
from export.errors import ExportError
from export.networks import Inputs, Network

OPSET = 20
MAX_ONNX_BYTES = 1_500_000_000  # a protobuf message ends at 2 GiB, graph included
# (batch, height, width) of the latents. The checks use other sizes than the export, so that an
# axis which the trace froze shows up as an error.
EXPORT_SIZE = (2, 32, 48)
CHECK_SIZES = ((1, 40, 24), (3, 16, 56))


def export_onnx(network: Network, module: nn.Module, checkpoint: Checkpoint, folder: Path) -> Path:
    """Write `model.onnx`, large weights beside it as external data; returns its path."""
    path = folder / "model.onnx"
    inputs = seeded_inputs(network, checkpoint, EXPORT_SIZE)
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter's own libraries warn about themselves; nothing in it is about this network.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=network.dynamic,
            input_names=list(inputs),
            output_names=[network.output],
            verbose=False,
            optimize=True,
        )
    assert program is not None
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    program.save(path, external_data=size > MAX_ONNX_BYTES)
    return path


def measure_error(network: Network, module: nn.Module, checkpoint: Checkpoint, path: Path) -> float:
    """The largest error of the file against PyTorch, over the largest value, at all check sizes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return max(
        _relative_error(network, module, session, seeded_inputs(network, checkpoint, size))
        for size in CHECK_SIZES
    )


def check_error(network: Network, error: float) -> None:
    """Raise ExportError when the measured error is above the network's tolerance."""
    if not error <= network.tolerance:
        raise ExportError(
            f"{network.name}: the engine differs from PyTorch by {error:.2e} of the largest value;"
            f" at most {network.tolerance:.0e} is allowed."
        )


def seeded_inputs(network: Network, checkpoint: Checkpoint, size: tuple[int, int, int]) -> Inputs:
    """Example inputs, the same at every call; size: batch, height and width of the latents."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network.inputs(checkpoint, *size)


def _relative_error(
    network: Network, module: nn.Module, session: onnxruntime.InferenceSession, inputs: Inputs
) -> float:
    with torch.no_grad():
        expected = module(**inputs).numpy()
    feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
    actual = session.run([network.output], feeds)[0]
    assert isinstance(actual, np.ndarray)
    if actual.shape != expected.shape:
        raise ExportError(f"{network.name}: the engine gives {actual.shape}, not {expected.shape}.")
    if actual.dtype != expected.dtype:
        raise ExportError(f"{network.name}: the engine gives {actual.dtype}, not {expected.dtype}.")
    error = np.abs(actual.astype(np.float64) - expected).max()
    largest = 255 if expected.dtype == np.uint8 else np.abs(expected).max()
    return float(error / largest)
