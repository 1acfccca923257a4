"""The precisions that an engine may run in, and a network in one of them."""

import copy
from enum import StrEnum
from typing import Any

import torch
from torch import nn


class Precision(StrEnum):
    """What weights and arithmetic are inside an engine; inputs and outputs stay float32."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


DTYPES = {
    Precision.FP32: torch.float32,
    Precision.FP16: torch.float16,
    Precision.BF16: torch.bfloat16,
}


EXACT = {"timestep"}  # inputs that stay float32: a timestep is up to 999 and may be a fraction


def in_precision(module: nn.Module, precision: Precision) -> nn.Module:
    """The module for fp32, else a copy of it that casts at its borders.

    Inside, all is as in diffusers in that type: the sines of the timesteps are float32, norms
    accumulate in float32. What is no floating point number, ids or pixels, passes as it is.
    """
    if precision is Precision.FP32:
        return module
    dtype = DTYPES[precision]

    def cast_inputs(_: nn.Module, __: Any, inputs: dict[str, Any]) -> tuple[tuple[()], Any]:
        return (), {
            name: value if name in EXACT else _cast(value, dtype) for name, value in inputs.items()
        }

    def cast_output(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return tuple(_cast(tensor, torch.float32) for tensor in output)
        return _cast(output, torch.float32)

    inside = copy.deepcopy(module).to(dtype)
    inside.register_forward_pre_hook(cast_inputs, with_kwargs=True)
    inside.register_forward_hook(cast_output)
    return inside


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
