"""A network in a reduced precision, between float32 borders."""

from typing import Any

import pytest
import torch
from torch import nn

from export.precision import DTYPES, Precision, in_precision


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1 / 3))
        self.seen: Any = None

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        self.seen = sample.dtype, timestep.dtype
        return sample * self.weight


def test_fp32_is_the_module_itself() -> None:
    module = Sum()
    assert in_precision(module, Precision.FP32) is module


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
def test_only_the_inside_is_reduced(precision: Precision) -> None:
    module = Sum()
    inside: Any = in_precision(module, precision)
    output = inside(sample=torch.ones(2), timestep=torch.ones(2, dtype=torch.int64))
    assert inside.seen == (DTYPES[precision], torch.int64)
    assert output.dtype == torch.float32
    assert output[0] == torch.tensor(1 / 3).to(DTYPES[precision]).float() != module.weight
    assert module.weight.dtype == torch.float32, "the original stays as it is"
