"""The part of Triton's Python backend API that the stages use.

https://github.com/triton-inference-server/python_backend#usage
"""

from typing import Any, ClassVar

import numpy as np

TRITONSERVER_RESPONSE_COMPLETE_FINAL: int

class Tensor:
    def __init__(self, name: str, array: np.ndarray[Any, Any]) -> None: ...
    def as_numpy(self) -> Any: ...
    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor: ...

TRITONSERVER_MEMORY_CPU: int
TRITONSERVER_MEMORY_GPU: int

class PreferredMemory:
    def __init__(self, preferred_memory_type: int, preferred_device_id: int = ...) -> None: ...

class TritonError:
    INTERNAL: ClassVar[int]
    INVALID_ARG: ClassVar[int]
    UNAVAILABLE: ClassVar[int]
    CANCELLED: ClassVar[int]
    def __init__(self, message: str, code: int = ...) -> None: ...
    def message(self) -> str: ...

class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor], error: TritonError | None = None) -> None: ...
    def has_error(self) -> bool: ...
    def error(self) -> TritonError: ...

class InferenceRequest:
    def __init__(
        self,
        model_name: str,
        requested_output_names: list[str],
        inputs: list[Tensor],
        preferred_memory: PreferredMemory = ...,
        trace: Any = ...,  # InferenceTrace, which the module does not name,
    ) -> None: ...
    def exec(self) -> InferenceResponse: ...

class Metric:
    def set(self, value: float) -> None: ...
    def increment(self, value: float) -> None: ...

class MetricFamily:
    GAUGE: ClassVar[int]
    COUNTER: ClassVar[int]
    def __init__(self, name: str, description: str, kind: int) -> None: ...
    def Metric(self, labels: dict[str, str]) -> Metric: ...  # noqa: N802

def get_input_tensor_by_name(request: Any, name: str) -> Tensor: ...
def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor: ...
