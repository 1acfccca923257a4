"""How an engine's error is measured."""

import math
from typing import Any

import pytest
import torch

from export.errors import ExportError
from export.exactness import CHECK_SIZES, EXPORT_SIZE, check_error, relative_error
from export.networks import NETWORKS
from export.precision import Precision

UNET = next(network for network in NETWORKS if network.name == "unet")


def test_checks_use_other_sizes_than_the_export() -> None:
    assert len(CHECK_SIZES) >= 2
    for check in CHECK_SIZES:
        assert all(a != b for a, b in zip(check, EXPORT_SIZE, strict=True))
        assert check[1] % 8 == check[2] % 8 == 0


def test_errors_are_relative_to_the_largest_value() -> None:
    expected = torch.tensor([0.0, -4.0])
    assert relative_error(UNET, torch.tensor([0.1, -4.0]), expected) == pytest.approx(0.025)
    pixels = torch.tensor([0, 10], dtype=torch.uint8)
    assert relative_error(UNET, pixels.flip(0), pixels) == pytest.approx(10 / 255)


@pytest.mark.parametrize(
    ("actual", "message"),
    [(torch.zeros(3), "shape is"), (torch.zeros(2, dtype=torch.uint8), "dtype is torch.uint8")],
)
def test_what_is_of_another_kind_is_refused(actual: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        relative_error(UNET, actual, torch.ones(2))


def test_what_is_too_far_off_is_refused() -> None:
    check_error(UNET, Precision.FP16, 5e-3)
    for error in (5e-3, math.nan):
        with pytest.raises(ExportError, match="unet: the engine differs from PyTorch by"):
            check_error(UNET, Precision.FP32, error)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_what_is_refused_says_why(network: Any) -> None:
    refused = [precision for precision in Precision if not network.runs_in(precision)]
    assert bool(refused) == bool(network.why_not)
    for precision in set(Precision) - set(refused):
        assert network.tolerance <= network.tolerance_in(precision) < 0.1
