"""Why no engine runs in TF32, as GPUs would by default."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from export.checkpoint import load_checkpoint
from export.exactness import CHECK_SIZES, relative_error, seeded_inputs
from export.networks import NETWORKS, Network
from export.precision import Precision

PRODUCTS = {"convolution", "mm", "addmm", "bmm", "baddbmm"}
DROPPED_BITS = 13  # of float32's 23


class TF32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds what products are made of to TF32, as tensor cores do."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            args = tuple(rounded(value) for value in args)
        return func(*args, **(kwargs or {}))


def rounded(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    half, kept = 1 << (DROPPED_BITS - 1), -1 << DROPPED_BITS
    return ((value.contiguous().view(torch.int32) + half) & kept).view(torch.float32)


@pytest.mark.parametrize("name", ["text_encoder", "unet", "safety_checker"])
@torch.no_grad()
def test_tf32_is_too_far_from_float32(name: str, checkpoints: Callable[[str], Path]) -> None:
    network: Network = next(network for network in NETWORKS if network.name == name)
    checkpoint = load_checkpoint(str(checkpoints("narrow")), None, None, None)
    module = network.module(checkpoint).eval()
    inputs = seeded_inputs(network, checkpoint, CHECK_SIZES[0])
    expected = module(**inputs)
    with TF32():  # type: ignore[no-untyped-call]
        actual = module(**inputs)
    assert relative_error(network, actual, expected) > network.tolerance_in(Precision.FP32)
