"""Write a network's engine, check it, and fit its configuration to it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, ModelConfig

from export.aoti_engine import export_aoti, load_aoti
from export.checkpoint import Checkpoint
from export.engine_choice import Choice, Engine, has_gpu
from export.exactness import Measured, Run, measure
from export.networks import Network
from export.onnx_engine import export_onnx, load_onnx, onnx_device
from export.precision import in_precision
from export.tensorrt_engine import export_tensorrt, load_tensorrt
from export.triton_config import read_config, write_config
from export.zero_weights import without_zero_weights
from stages.engines import PACKAGE
from stages.machine import describe_machine

WARM_SIDE = 64  # of the latents
FILES = {
    Engine.ONNX: "model.onnx",
    Engine.AOTI: PACKAGE,
    Engine.TENSORRT: "model.plan",
}


@dataclass(frozen=True)
class Written:
    """An engine that lies in its folder."""

    run: Run  # calls it
    measured: Measured  # against float32 PyTorch
    device: str  # where that was, `cpu` or `cuda`
    profiles: int = 0  # how many TensorRT has; the others have none


def write_engine(
    network: Network,
    choice: Choice,
    module: nn.Module,
    checkpoint: Checkpoint,
    folder: Path,
    max_batch_size: int,
) -> Written:
    """Write an engine's file into a folder and measure its error.

    module: the network in float32. max_batch_size: the largest that TensorRT allows for.
    Raises ExportError when it cannot be made or run.
    """
    path = folder / FILES[choice.engine]
    inside = in_precision(without_zero_weights(module), choice.precision)
    device = "cuda" if has_gpu() else "cpu"
    profiles = 0
    if choice.engine is Engine.ONNX:
        export_onnx(network, inside, checkpoint, path)
        run, device = load_onnx(network, path), onnx_device().partition(":")[0]
    elif choice.engine is Engine.AOTI:
        export_aoti(network, inside, checkpoint, path, device)
        run = load_aoti(path, device)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            graph = Path(temporary, "model.onnx")
            export_onnx(network, inside, checkpoint, graph)
            profiles = export_tensorrt(network, checkpoint, graph, path, max_batch_size)
        run = load_tensorrt(path, network.outputs)
    return Written(run, measure(network, module, checkpoint, run), device, profiles)


def fit_config(path: Path, network: Network, choice: Choice, written: Written) -> None:
    """Name the backend in an engine's config.pbtxt, and the dimensions of this checkpoint."""
    config = read_config(path)
    for name in network.beside:
        config.output.add(name=name, data_type=TYPE_FP32)
    for tensor in [*config.input, *config.output]:
        tensor.dims[:] = written.measured.dims[tensor.name]
    if choice.engine is not Engine.ONNX:
        config.ClearField("optimization")  # ONNX Runtime's
        config.ClearField("parameters")
    if choice.engine is Engine.AOTI:
        config.backend = "python"
    if choice.engine is Engine.TENSORRT:
        config.ClearField("backend")
        config.platform = "tensorrt_plan"
        config.instance_group[0].profile[:] = [str(i) for i in range(written.profiles)]
    if has_gpu() and choice.engine is not Engine.TENSORRT:
        # Where Python runs the engine, which else gets every tensor through the host.
        config.parameters["FORCE_CPU_ONLY_INPUT_TENSORS"].string_value = "no"
    if not is_run_by_denoise(network, choice):
        warm_up(config, WARM_SIDE)
    write_config(path, config)


def is_run_by_denoise(network: Network, choice: Choice) -> bool:
    """Whether the model of this engine is called by nobody as a rule, so that it loads none."""
    return "unet" in (network.name, network.of) and choice.engine is not Engine.TENSORRT


def warm_up(config: ModelConfig, side: int) -> None:
    """Have Triton run the engine once before it says ready: the first request costs no more."""
    warmup = config.model_warmup.add(name="zeros", batch_size=1)
    for tensor in config.input:
        given = warmup.inputs[tensor.name]
        given.data_type = tensor.data_type
        given.dims[:] = [side if size == -1 else size for size in tensor.dims]
        given.zero_data = True


def describe_engine(choice: Choice, written: Written, allowed: float) -> dict[str, object]:
    """What manifest.json says of an engine."""
    return {
        "engine": choice.engine,
        "precision": choice.precision,
        "error": written.measured.error,
        "tolerance": allowed,
        "verified_on": written.device,
        "tf32": False,
        "machine": describe_machine(choice.engine, "cuda" if has_gpu() else "cpu"),
    }
