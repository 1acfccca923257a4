"""How far an engine is from float32 PyTorch, at which sizes, and what is too far."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.errors import ExportError
from export.networks import Inputs, Network
from export.precision import Precision

Size = tuple[int, int, int]  # batch, height and width of the latents
Run = Callable[[Inputs], list[Tensor]]  # an engine: CPU tensors in, CPU tensors out

# The checks use other sizes than the export, so that an axis which the trace froze shows up as an
# error; among them the smallest, where a compiler may have assumed more than one of something.
EXPORT_SIZE: Size = (2, 32, 48)
CHECK_SIZES: tuple[Size, ...] = ((1, 40, 24), (3, 16, 56), (1, 8, 8))


@dataclass(frozen=True)
class Measured:
    """What running an engine at all check sizes tells of it."""

    error: float  # the largest difference at all sizes, over the largest value
    dims: dict[str, list[int]]  # of each tensor without the batch, -1 where the size changes it


def measure(network: Network, module: nn.Module, checkpoint: Checkpoint, run: Run) -> Measured:
    """Run an engine and the float32 module on the same inputs, at all check sizes."""
    errors, shapes = [], []
    for size in CHECK_SIZES:
        inputs = seeded_inputs(network, checkpoint, size)
        with torch.no_grad():
            made = module(**inputs)
        expected = made if isinstance(made, tuple) else (made,)
        errors += [
            relative_error(network, *pair) for pair in zip(run(inputs), expected, strict=True)
        ]
        tensors = {**inputs, **dict(zip(network.outputs, expected, strict=True))}
        shapes.append({name: list(tensor.shape[1:]) for name, tensor in tensors.items()})
    dims = {
        name: [
            sizes[0] if len(set(sizes)) == 1 else -1
            for sizes in zip(*(shape[name] for shape in shapes), strict=True)
        ]
        for name in shapes[0]
    }
    return Measured(float(np.max(errors)), dims)  # NaN where one is


def relative_error(network: Network, actual: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest value, which is 255 for uint8; NaN stays NaN."""
    for what in ("shape", "dtype"):
        one, other = (getattr(tensor, what) for tensor in (actual, expected))
        if one != other:
            raise ExportError(f"{network.name}: the engine's {what} is {one}, not {other}.")
    largest = 255 if expected.dtype == torch.uint8 else float(expected.abs().max())
    difference = np.abs(actual.numpy().astype(np.float64) - expected.numpy())
    return float(difference.max()) / largest


def check_error(network: Network, precision: Precision, error: float) -> None:
    """Raise ExportError when the measured error is above the network's tolerance."""
    allowed = network.tolerance_in(precision)
    if not error <= allowed:
        raise ExportError(
            f"{network.name}: the engine differs from PyTorch by {error:.2e} of the largest value;"
            f" at most {allowed:.0e} is allowed in {precision}."
        )


def seeded_inputs(network: Network, checkpoint: Checkpoint, size: Size) -> Inputs:
    """Example inputs, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network.inputs(checkpoint, *size)
