"""A plan of TensorRT by its own API, on a GPU. Has not run on one yet.

https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/python-api-docs.html
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stages.engines import Batch, DeviceUnavailable, in_order, stream_on

Shape = tuple[int, ...]
Profile = dict[str, tuple[Shape, Shape, Shape]]  # by input the smallest, usual and largest


class TensorRtEngine:
    """A plan with a context for each of its profiles, made when a call first needs it."""

    def __init__(self, path: Path, device: str, outputs: Sequence[str]) -> None:
        """device: `cuda:0` or another GPU. outputs: their names.

        Raises DeviceUnavailable where TensorRT cannot load the plan.
        """
        import tensorrt as trt  # noqa: PLC0415 - where it is installed

        self._trt = trt
        self.device, self.outputs = device, outputs
        self.stream = stream_on(device)
        self._logger = trt.Logger(trt.Logger.ERROR)
        with torch.cuda.device(device):
            self._runtime = trt.Runtime(self._logger)  # lives as long as what it made
            self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise DeviceUnavailable(
                f"TensorRT {trt.__version__} cannot load {path}; its own lines above say why. Make"
                " it again on this machine."
            )
        self._dtypes = {trt.DataType.FLOAT: torch.float32, trt.DataType.UINT8: torch.uint8}
        self._contexts: dict[int, Any] = {}

    def __call__(self, batch: Batch) -> list[Any]:
        tensors = {
            name: torch.as_tensor(array, device=self.device).contiguous()
            for name, array in batch.items()
        }
        with torch.cuda.device(self.device), in_order(self.stream):
            context = self._context_for({name: tuple(t.shape) for name, t in tensors.items()})
            for name, tensor in tensors.items():
                context.set_input_shape(name, tuple(tensor.shape))
            results = [self._empty(context, name) for name in self.outputs]
            tensors |= zip(self.outputs, results, strict=True)
            for name, tensor in tensors.items():
                context.set_tensor_address(name, tensor.data_ptr())
            if not context.execute_async_v3(self.stream.cuda_stream):
                raise RuntimeError("TensorRT did not run it; its own lines above say why.")
        return results

    def _empty(self, context: Any, name: str) -> torch.Tensor:
        dtype = self._dtypes[self._engine.get_tensor_dtype(name)]
        shape = tuple(context.get_tensor_shape(name))
        return torch.empty(shape, dtype=dtype, device=self.device)

    def _context_for(self, shapes: Mapping[str, Shape]) -> Any:
        """That of the nearest profile. Each holds the memory of its own alone, not of the largest.

        One context for all would allocate anew at every change from one profile to another.
        """
        index = nearest_profile(self._profiles(shapes), shapes)
        if index not in self._contexts:
            strategy = self._trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
            context = self._engine.create_execution_context(strategy)
            if context is None or not context.set_optimization_profile_async(
                index, self.stream.cuda_stream
            ):
                raise MemoryError("TensorRT has no memory for this profile")
            self._contexts[index] = context
        return self._contexts[index]

    def _profiles(self, names: Iterable[str]) -> list[Profile]:
        found = []
        for index in range(self._engine.num_optimization_profiles):
            profile: Profile = {}
            for name in names:
                low, usual, high = self._engine.get_tensor_profile_shape(name, index)
                profile[name] = tuple(low), tuple(usual), tuple(high)
            found.append(profile)
        return found


def nearest_profile(profiles: Sequence[Profile], shapes: Mapping[str, Shape]) -> int:
    """Which profile takes these shapes and is tuned for the nearest. Raises ValueError for none."""
    distances = {
        index: sum(
            abs(size - usual)
            for name, shape in shapes.items()
            for size, usual in zip(shape, profile[name][1], strict=True)
        )
        for index, profile in enumerate(profiles)
        if all(takes(profile[name], shape) for name, shape in shapes.items())
    }
    if not distances:
        raise ValueError(f"no profile of the TensorRT plan takes {dict(shapes)}")
    return min(distances, key=lambda index: distances[index])


def takes(profile: tuple[Shape, Shape, Shape], shape: Shape) -> bool:
    """Whether a shape lies between the smallest and the largest of a profile."""
    smallest, _, largest = profile
    return all(
        low <= size <= high for low, size, high in zip(smallest, shape, largest, strict=True)
    )
