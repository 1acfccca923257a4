"""A network as a TensorRT plan, from its ONNX file. Has not run on a GPU yet.

Strongly typed: every type is the ONNX graph's, so precision is decided there. The API is that of
TensorRT 11: https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/python-api-docs.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.checkpoint import Checkpoint
from export.errors import ExportError
from export.exactness import Run, Size, seeded_inputs
from export.networks import Inputs, Network
from stages.tiles import MAX_TILE

# Height and width of the latents. The smallest is far below the usual, as a long, thin image is as
# thin as itself; the largest is that of a tile.
SMALLEST_SIDE, USUAL_SIDE = 8, 128
USUAL_BATCH = 2  # one request with guidance


@dataclass(frozen=True)
class Profile:
    """Shapes by input: the smallest, the one to tune for and the largest."""

    shapes: dict[str, tuple[list[int], list[int], list[int]]]


def profiles(network: Network, checkpoint: Checkpoint, max_batch_size: int) -> list[Profile]:
    """One tuned for a full batch, then one for a request alone, which takes every size.

    Triton chooses by the nearest shape. A network whose size is fixed, or that takes few rows, has
    the second alone.
    """
    usual = min(USUAL_BATCH, max_batch_size)
    full_batch = _profile(
        network,
        checkpoint,
        (max_batch_size, USUAL_SIDE, USUAL_SIDE),
        (max_batch_size, USUAL_SIDE, USUAL_SIDE),
    )
    every_size = _profile(
        network,
        checkpoint,
        (usual, USUAL_SIDE, USUAL_SIDE),
        (max_batch_size, MAX_TILE, MAX_TILE),
    )
    largest = [shapes[2] for shapes in full_batch.shapes.values()]
    is_fixed = largest == [shapes[2] for shapes in every_size.shapes.values()]
    return [every_size] if is_fixed or usual == max_batch_size else [full_batch, every_size]


def _profile(network: Network, checkpoint: Checkpoint, usual: Size, largest: Size) -> Profile:
    sizes: list[Size] = [(1, SMALLEST_SIDE, SMALLEST_SIDE), usual, largest]
    small, tuned, large = (seeded_inputs(network, checkpoint, size) for size in sizes)
    return Profile(
        {
            name: (list(small[name].shape), list(tuned[name].shape), list(large[name].shape))
            for name in small
        }
    )


def export_tensorrt(
    network: Network, checkpoint: Checkpoint, onnx_path: Path, path: Path, max_batch_size: int
) -> int:
    """Write `model.plan` for this machine's GPU; returns the number of its profiles.

    Raises ExportError with TensorRT's own words when it cannot.
    """
    trt = import_tensorrt()
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    graph = builder.create_network()
    parser = trt.OnnxParser(graph, logger)
    if not parser.parse_from_file(str(onnx_path)):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise ExportError(
            f"{network.name}: TensorRT cannot read the ONNX file: {'; '.join(errors)}"
        )
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and not what fp32 promises
    wanted = profiles(network, checkpoint, max_batch_size)
    for profile in wanted:
        added = builder.create_optimization_profile()
        for name, (smallest, usual, largest) in profile.shapes.items():
            added.set_shape(name, smallest, usual, largest)
        config.add_optimization_profile(added)
    plan = builder.build_serialized_network(graph, config)
    if plan is None:
        raise ExportError(f"{network.name}: TensorRT {trt.__version__} could not build an engine.")
    path.write_bytes(plan)
    return len(wanted)


def load_tensorrt(path: Path, outputs: Sequence[str]) -> Run:
    """The plan as a function, on its last profile, which takes every size."""
    trt = import_tensorrt()
    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ExportError(f"TensorRT {trt.__version__} cannot load {path}.")
    context = engine.create_execution_context()
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    context.set_optimization_profile_async(engine.num_optimization_profiles - 1, stream.cuda_stream)
    dtypes = {trt.DataType.FLOAT: torch.float32, trt.DataType.UINT8: torch.uint8}

    def run(inputs: Inputs) -> list[torch.Tensor]:
        tensors = {name: tensor.cuda() for name, tensor in inputs.items()}
        for name, tensor in tensors.items():
            context.set_input_shape(name, tuple(tensor.shape))
        for name in outputs:
            dtype = dtypes[engine.get_tensor_dtype(name)]
            shape = tuple(context.get_tensor_shape(name))
            tensors[name] = torch.empty(shape, dtype=dtype, device="cuda")
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.synchronize()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [tensors[name].cpu() for name in outputs]

    return run


def import_tensorrt() -> Any:
    """The module `tensorrt`. Raises ExportError where it is not installed."""
    try:
        import tensorrt  # noqa: PLC0415 - in NVIDIA's containers, or by the extra of that name
    except ImportError as error:
        raise ExportError(
            "TensorRT's Python package is not installed; install the extra `tensorrt`, in the"
            " release of the container that will run the engine."
        ) from error
    return tensorrt
