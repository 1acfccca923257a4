"""What our Python-based backends share: requests to one batch and back, on the CPU or a GPU.

Arrays are NumPy's on the CPU and torch's on a GPU, where Triton's tensors come and go as DLPack,
without the host.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from stages.engines import Batch, join_arrays


def responses_to(
    requests: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    run: Callable[[Batch], list[Any]],
) -> list[Any]:
    """All requests as one batch; the dynamic batcher only joins equal shapes."""
    rows = [
        {name: array_of(pb_utils.get_input_tensor_by_name(request, name)) for name in inputs}
        for request in requests
    ]
    results = run({name: join_arrays([row[name] for row in rows]) for name in inputs})
    wait_for(results)
    responses, start = [], 0
    for row in rows:
        end = start + len(row[inputs[0]])
        tensors = [
            tensor_of(name, result[start:end])
            for name, result in zip(outputs, results, strict=True)
        ]
        responses.append(pb_utils.InferenceResponse(tensors))
        start = end
    return responses


def wait_for(results: list[Any]) -> None:
    """Until results on a GPU are there: Triton copies them on a stream of its own."""
    devices = {result.device for result in results if not isinstance(result, np.ndarray)}
    if any(device.type == "cuda" for device in devices):
        import torch  # noqa: PLC0415

        for device in devices:
            torch.cuda.synchronize(device)


def array_of(tensor: Any) -> Any:
    """A tensor of Triton's as an array, where it lies."""
    if tensor.is_cpu():
        return tensor.as_numpy()
    from torch.utils.dlpack import from_dlpack  # noqa: PLC0415

    return from_dlpack(tensor.to_dlpack())


def tensor_of(name: str, array: Any) -> Any:
    """The other way."""
    if isinstance(array, np.ndarray):
        return pb_utils.Tensor(name, array)
    return pb_utils.Tensor.from_dlpack(name, array.contiguous())


def device_of(args: dict[str, str]) -> str:
    """Where Triton wants an instance: `cpu` or `cuda:0`."""
    on_gpu = args["model_instance_kind"] == "GPU"
    return f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
