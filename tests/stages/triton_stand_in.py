"""A stand-in for the module that is there only inside Triton, as far as the stages use it."""

import importlib
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import pytest

# What imports Triton's module, and so has to be imported anew over the stand-in.
NAME = "triton_python_backend_utils"
MEMORY_CPU, MEMORY_GPU = range(2)
MODULES = ("bls", "engine_batch", "triton_caller", "triton_errors", "triton_metrics", "unet")


class Tensor:
    """On the CPU; or on the device, which Triton refuses to make an array of."""

    def __init__(self, name: str, array: Any, on_device: bool = False) -> None:
        self.name, self.array, self._on_device = name, array, on_device

    @staticmethod
    def from_dlpack(name: str, array: Any) -> "Tensor":
        return Tensor(name, array)

    def is_cpu(self) -> bool:
        return not self._on_device

    def as_numpy(self) -> Any:
        if self._on_device:
            raise TritonModelException("Tensor is stored in GPU and cannot be converted to NumPy.")
        return self.array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class TritonError(Exception):
    INTERNAL, INVALID_ARG, UNAVAILABLE, CANCELLED = range(4)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        super().__init__(message)
        self.code = code

    def message(self) -> str:
        return str(self)


class InferenceResponse:
    """on_device: where its tensors lie; a BLS call sets it."""

    on_device = False

    def __init__(self, tensors: list[Tensor], error: TritonError | None = None) -> None:
        self.arrays = {tensor.name: tensor.array for tensor in tensors}
        self._error = error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError:
        assert self._error is not None
        return self._error


class InferenceRequest:
    """A BLS call, which `answer` answers: it takes the model's name and the inputs.

    As of an engine on a GPU, the answer's tensors lie there unless the CPU's memory is asked for.
    """

    answer: Callable[[str, dict[str, Any]], InferenceResponse]

    def __init__(
        self,
        model_name: str,
        requested_output_names: list[str],
        inputs: list[Tensor],
        preferred_memory: Any = None,
        trace: Any = None,
    ) -> None:
        self._call = model_name, {tensor.name: tensor.array for tensor in inputs}
        self._on_device = preferred_memory is None or preferred_memory.kind != MEMORY_CPU

    def exec(self) -> InferenceResponse:
        response = type(self).answer(*self._call)
        response.on_device = self._on_device
        return response


class PreferredMemory:
    def __init__(self, kind: int, device_id: int = 0) -> None:
        self.kind = kind


class TritonModelException(Exception): ...


class Metric:
    """Notes in its family's log what becomes of it."""

    def __init__(self, family: "MetricFamily", labels: dict[str, str]) -> None:
        self._log, self._name = family._log, family.name
        self.value = 0.0

    def set(self, value: float) -> None:
        self.value = value

    def increment(self, value: float) -> None:
        self.value += value

    def __del__(self) -> None:
        self._log.append(("metric", self._name))


class MetricFamily:
    GAUGE, COUNTER = range(2)
    log: ClassVar[list[tuple[str, str]]] = []  # of what was deleted, in its order

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name
        self._log = self.log

    def Metric(self, labels: dict[str, str]) -> Metric:  # noqa: N802
        return Metric(self, labels)

    def __del__(self) -> None:
        self._log.append(("family", self.name))


class ResponseSender:
    """Keeps what it is asked to send: (response, whether it was the last).

    cancelled_after: responses, with which the caller goes away; None: it stays.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[InferenceResponse | None, bool]] = []
        self.cancelled_after: int | None = None

    def is_cancelled(self) -> bool:
        return self.cancelled_after is not None and len(self.sent) >= self.cancelled_after

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        self.sent.append((response, bool(flags)))


class TritonRequest(dict[str, Any]):
    """Arrays by name."""

    def __init__(self, arrays: dict[str, Any], **parameters: Any) -> None:
        super().__init__(arrays)
        self.sender = ResponseSender()
        self._parameters = parameters

    def parameters(self) -> str:
        return json.dumps(self._parameters)

    def timeout(self) -> int:
        return 0

    def trace(self) -> None:
        return None

    def get_response_sender(self) -> ResponseSender:
        return self.sender


def empty_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in as it is while a model.py is imported: without classes and functions."""
    module: Any = ModuleType(NAME)
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
    monkeypatch.setitem(sys.modules, NAME, module)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, f"stages.{name}", raising=False)
    return module


def fill(module: Any) -> None:
    """Add what Triton adds once a model.py has been imported."""
    module.TRITONSERVER_MEMORY_CPU, module.TRITONSERVER_MEMORY_GPU = MEMORY_CPU, MEMORY_GPU
    for stand_in in (
        Tensor,
        TritonError,
        InferenceResponse,
        InferenceRequest,
        PreferredMemory,
        TritonModelException,
        MetricFamily,
    ):
        setattr(module, stand_in.__name__, stand_in)
    module.get_input_tensor_by_name = lambda request, name: (
        Tensor(name, request[name]) if name in request else None
    )
    module.get_output_tensor_by_name = lambda response, name: Tensor(
        name, response.arrays[name], response.on_device
    )


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in where the stages import Triton's module from, and import them as Triton."""
    module = empty_module(monkeypatch)
    for name in MODULES:
        importlib.import_module(f"stages.{name}")
    fill(module)
