"""What a training run needs to go on after it was stopped."""

from pathlib import Path

import torch
from torch import nn


class Checkpoint:
    """A file with weights, optimizer, seconds trained and steps taken."""

    def __init__(self, path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._path = path
        self._module = module
        self._optimizer = optimizer

    def load(self) -> tuple[float, int]:
        """Restore what is there; returns seconds and steps so far."""
        if not self._path.exists():
            return 0.0, 0
        state = torch.load(self._path, weights_only=True)
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        return state["elapsed"], state["step"]

    def save(self, elapsed: float, step: int) -> None:
        """Write to a file beside and rename, so that a stop in between loses nothing."""
        temporary = self._path.with_suffix(".tmp")
        state = {
            "module": self._module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "elapsed": elapsed,
            "step": step,
        }
        torch.save(state, temporary)
        temporary.replace(self._path)
