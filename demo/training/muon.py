"""Muon (Keller Jordan, 2024): momentum made orthogonal, and Adam for what is no matrix."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Matrices and convolutions take orthogonal steps, everything else Adam's.

    Here it reaches in a third of the steps what AdamW reaches.
    """

    def __init__(self, module: nn.Module, rate: float, adam_share: float = 0.1) -> None:
        """rate: of the orthogonal steps; Adam's is `adam_share` of it."""
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, weight in module.named_parameters():
            if weight.requires_grad:
                hidden = weight.ndim > 1 and not name.endswith(("conv_in.weight", "out.weight"))
                (matrices if hidden else others).append(weight)
        groups: list[dict[str, Any]] = [
            {"params": matrices, "orthogonal": True, "share": 1.0},
            {"params": others, "orthogonal": False, "share": adam_share},
        ]
        super().__init__(groups, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step for every weight that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                direction = orthogonal_step if group["orthogonal"] else adam_step
                weight.add_(direction(weight.grad, state), alpha=-group["lr"] * group["share"])


def orthogonal_step(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """Nesterov's momentum, its singular values brought near 1."""
    momentum: Tensor = state.setdefault("momentum", torch.zeros_like(gradient))
    momentum.lerp_(gradient, 0.05)
    matrix = gradient.lerp(momentum, 0.95).flatten(1)
    scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    return torch.as_tensor((orthogonal(matrix) * scale).view_as(gradient))


def orthogonal(matrix: Tensor) -> Tensor:
    """Five Newton-Schulz iterations towards the nearest orthogonal matrix.

    They are done on the small square product with itself, which is all they depend on.
    """
    a, b, c = COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    square, identity = x @ x.T, torch.eye(len(x), device=x.device)
    total = identity
    for _ in range(5):
        factor = a * identity + b * square + c * square @ square
        total, square = factor @ total, factor @ square @ factor
    x = total @ x
    return torch.as_tensor(x.T if matrix.shape[0] > matrix.shape[1] else x)


def adam_step(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """Adam's direction."""
    count = state["count"] = state.get("count", 0) + 1
    mean: Tensor = state.setdefault("mean", torch.zeros_like(gradient)).lerp_(gradient, 0.1)
    square: Tensor = state.setdefault("square", torch.zeros_like(gradient))
    square.lerp_(gradient.square(), 0.02)
    return torch.as_tensor(mean / (1 - 0.9**count) / ((square / (1 - 0.98**count)).sqrt() + 1e-8))
