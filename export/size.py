"""How large the engines of a checkpoint are, and what an export of them takes on disks."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import constants

from export.checkpoint import Checkpoint
from export.engine_choice import Choice, Engine
from export.networks import Network, networks_of
from export.precision import Precision
from export.step_cache import outermost_parameters

BYTES = {Precision.FP32: 4, Precision.FP16: 2, Precision.BF16: 2}  # of a number
# While it is made: a compiler's intermediate library and objects, TensorRT's ONNX file.
COPIES = {Engine.ONNX: 1, Engine.AOTI: 3, Engine.TENSORRT: 2}


def size_of(checkpoint: Checkpoint, network: Network, precision: Precision) -> int:
    """About how many bytes an engine's file takes. Raises ExportError when weights are broken."""
    if network.of:
        assert checkpoint.step_cache is not None
        parameters = outermost_parameters(checkpoint.pipeline.unet, checkpoint.step_cache.branch)
    else:
        weights = {"vae_decoder": "vae"}.get(network.name, network.name)
        parameters = checkpoint.weights[weights].parameters()
    return BYTES[precision] * parameters


def needs(
    checkpoint: Checkpoint, output: Path, choices: Mapping[str, Choice]
) -> list[tuple[Path, int, str]]:
    """Folders, the bytes that will be written to them at most, and how to name another one."""
    engines = sum(
        COPIES[choices[network.name].engine]
        * size_of(checkpoint, network, choices[network.name].precision)
        for network in networks_of(checkpoint)
    )
    return [
        (output, engines, "--output"),
        (Path(constants.HF_HUB_CACHE), missing(checkpoint), "HF_HOME"),
    ]


def missing(checkpoint: Checkpoint) -> int:
    """How many bytes have yet to be downloaded."""
    return sum(weights.missing_bytes() for weights in checkpoint.weights.values())
