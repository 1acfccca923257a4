"""Engines by their files: `model.onnx`, `package/` of AOTInductor, `model.plan` of TensorRT.

Our Python-based backends run them, denoise runs the UNet's, and the export checks them as they are
run there. Arrays are NumPy's or torch's. On a GPU they stay there, and a call returns before its
outputs are ready, as PyTorch's do: what is launched after it on PyTorch's stream finds them so.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stages.tiles import PLAN

Batch = dict[str, Any]

# Values of the largest input in one run on a CPU: one row of unet at 128 x 128, two of
# vae_decoder. Memory grows with the rows of a run, and on a CPU more rows are no faster.
RUN_SIZE = 2**17
PACKAGE = "package"  # the folder of AOTInductor's files
ON_THE_CPU = "or hide the GPU, CUDA_VISIBLE_DEVICES=, to run on the CPU"


class DeviceUnavailable(RuntimeError):
    """A GPU is asked for that a library cannot use; its text says what to do."""


class Engine(Protocol):
    """A batch by input names, each [rows, ...], to the outputs, [rows, ...] too."""

    device: str  # where it runs and where its outputs lie: `cpu` or `cuda:0`
    # The torch.cuda.Stream that it runs on; None on a CPU, and where it is the caller's.
    stream: Any

    def __call__(self, batch: Batch) -> list[Any]: ...


class OnnxEngine:
    """A graph in ONNX Runtime."""

    def __init__(self, path: Path, device: str, outputs: Sequence[str]) -> None:
        """device: where it runs, `cpu` or `cuda:0`. outputs: their names.

        Raises DeviceUnavailable where ONNX Runtime would take the CPU in the place of a GPU.
        """
        import onnxruntime  # noqa: PLC0415 - Triton's own backend does without

        if device != "cpu":
            onnxruntime.preload_dlls()  # cuBLAS and cuDNN, which came as packages of their own
        available = onnxruntime.get_available_providers()
        has_cuda = device != "cpu" and "CUDAExecutionProvider" in available
        self.stream: Any = stream_on(device) if has_cuda else None
        providers = providers_for(device, available, self.stream)
        self.run_options = onnxruntime.RunOptions()
        # Else every run waits for the device: what follows is on the same stream, or waits for it.
        self.run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self.session = onnxruntime.InferenceSession(path, session_options(), providers=providers)
        self.outputs = outputs
        self.device = device
        if device != "cpu" and "CUDAExecutionProvider" not in self.session.get_providers():
            raise DeviceUnavailable(
                f"{path} cannot run on {device}: ONNX Runtime found no CUDA or cuDNN of the release"
                " that it was built with, or a driver too old for them; its own lines above say"
                f" which. Repair that, {ON_THE_CPU}."
            )

    def __call__(self, batch: Batch) -> list[Any]:
        if self.device != "cpu":
            return self.run_bound(batch)
        return run_in_parts(batch, lambda part: self.session.run(self.outputs, part))

    def run_bound(self, batch: Batch) -> list[Any]:
        """All at once, with inputs and outputs on the device; not tried on a GPU yet."""
        import torch  # noqa: PLC0415 - 200 MB that the CPU does without
        from torch.utils.dlpack import from_dlpack  # noqa: PLC0415

        kind, _, index = self.device.partition(":")
        binding = self.session.io_binding()
        tensors = {
            name: torch.as_tensor(array, device=self.device).contiguous()
            for name, array in batch.items()
        }
        for name, tensor in tensors.items():
            dtype = np.int64 if tensor.dtype == torch.int64 else np.float32
            shape = tuple(tensor.shape)
            binding.bind_input(name, kind, int(index or 0), dtype, shape, tensor.data_ptr())
        for name in self.outputs:
            binding.bind_output(name, kind, int(index or 0))
        with in_order(self.stream):
            self.session.run_with_iobinding(binding, self.run_options)
        return [from_dlpack(value) for value in binding.get_outputs()]


class AotiEngine:
    """A package of AOTInductor, on the device that it was compiled for."""

    def __init__(self, folder: Path, device: str) -> None:
        """folder: with the package unpacked: its code is mapped from there, nothing is written.

        device: `cpu` or `cuda:0`, which of the GPUs where it was compiled for one.
        """
        import torch  # noqa: PLC0415 - 200 MB that ONNX Runtime on a CPU does not need

        # Asked before it is loaded, as torch's own loader does: one for the CPU refuses an index.
        loader: Any = torch._C._aoti.AOTIModelPackageLoader
        compiled_for = loader.load_metadata_from_package(str(folder), "model")["AOTI_DEVICE_KEY"]
        self.device = "cpu" if compiled_for == "cpu" else device
        self.stream = None  # it runs on the caller's
        index = -1
        if self.device != "cpu":
            index = int(device.removeprefix("cuda:"))
            torch.backends.cudnn.allow_tf32 = False  # as the export verified it
        # Unpacked, one in a file would leave its gigabytes in /tmp when this process is killed.
        # Single-threaded on a GPU, else it asks for events, which a CUDA graph does not record.
        self.package = loader(str(folder), "model", self.device != "cpu", 1, index)
        # PyTorch's wrapper of a loader needs its compiler, which an image has no other use for.
        _, inputs = json.loads(self.package.get_call_spec()[0])
        self.inputs = json.loads(inputs["children_spec"][1]["context"])

    def __call__(self, batch: Batch) -> list[Any]:
        if self.device != "cpu":
            return self.call_package(batch)
        return run_in_parts(batch, lambda part: [out.numpy() for out in self.call_package(part)])

    def call_package(self, batch: Batch) -> list[Any]:
        """All at once, to tensors."""
        import torch  # noqa: PLC0415

        outputs: list[Any] = self.package.run(
            [torch.as_tensor(batch[name], device=self.device).contiguous() for name in self.inputs]
        )
        return outputs


def find_engine(folder: Path, device: str, outputs: Sequence[str]) -> Engine | None:
    """The engine in a version's folder, or None where this Python has no library for it."""
    if (folder / PACKAGE).is_dir():
        return AotiEngine(folder / PACKAGE, device)
    if (folder / "model.onnx").is_file() and importlib.util.find_spec("onnxruntime"):
        return OnnxEngine(folder / "model.onnx", device, outputs)
    if (folder / PLAN).is_file() and device != "cpu" and importlib.util.find_spec("tensorrt"):
        from stages.tensorrt_engine import TensorRtEngine  # noqa: PLC0415 - imports torch

        return TensorRtEngine(folder / PLAN, device, outputs)
    return None


def stream_on(device: str) -> Any:
    """A torch.cuda.Stream of an engine's own: ONNX Runtime takes PyTorch's default one for none."""
    import torch  # noqa: PLC0415

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def in_order(stream: Any) -> Iterator[None]:
    """What a block launches on a stream waits for the caller's, and the caller's then for it.

    The host waits for neither. None, or the caller's own stream, needs no order.
    """
    if stream is None:
        yield
        return
    import torch  # noqa: PLC0415

    callers = torch.cuda.current_stream(stream.device)
    if callers == stream:
        yield
        return
    stream.wait_stream(callers)
    yield
    callers.wait_stream(stream)


def session_options() -> Any:
    """An `onnxruntime.SessionOptions` for models of which many share a machine."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    # Shapes vary, and a plan for each takes twice the memory.
    options.enable_mem_pattern = False
    # Sessions take turns on the same cores; one that spins takes them from the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def providers_for(device: str, available: list[str], stream: Any = None) -> list[Any]:
    """ONNX Runtime's for a device. Raises DeviceUnavailable where its package has no CUDA.

    Convolutions are chosen by rule: a search would stall the first request of every size. TF32 is
    off: its 10 bits are not what fp32 promises. config.pbtxt tells Triton's own backend the same.
    Memory grows as it is needed, not to the next power of two. stream: to run on.
    https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
    """
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in available:
        raise DeviceUnavailable(
            f"ONNX Runtime cannot run on {device}: this package of it has no CUDA. Install"
            f" onnxruntime-gpu in the place of onnxruntime, {ON_THE_CPU}."
        )
    options = {
        "device_id": device.removeprefix("cuda:"),
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }
    if stream is not None:
        options["user_compute_stream"] = str(stream.cuda_stream)
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


def run_in_parts(batch: Batch, run: Callable[[Batch], list[Any]]) -> list[Any]:
    """The batch in runs of bounded memory, on a CPU; each array is [rows, ...]."""
    arrays = {name: on_host(array) for name, array in batch.items()}
    rows = len(next(iter(arrays.values())))
    rows_at_once = max(1, RUN_SIZE // max(array[0].size for array in arrays.values()))
    parts = [
        run({name: array[i : i + rows_at_once] for name, array in arrays.items()})
        for i in range(0, rows, rows_at_once)
    ]
    return [join_arrays(part) for part in zip(*parts, strict=True)]


def on_host(array: Any) -> Any:
    """NumPy's or torch's as NumPy's; only what lies on a GPU is copied."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def join_arrays(parts: Sequence[Any]) -> Any:
    """Arrays along the batch. One that stands alone is not copied; one on a GPU takes all there."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    import torch  # noqa: PLC0415

    device = next(part.device for part in parts if not isinstance(part, np.ndarray))
    return torch.cat([torch.as_tensor(part, device=device) for part in parts])
