"""The loop of the stages that train by the clock: resumed, with a rate that falls, and progress."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from demo.training.checkpoint import Checkpoint
from demo.training.muon import Muon

Losses = Callable[[int, np.random.Generator], dict[str, Tensor]]
console = Console()


def train(
    path: Path,
    kept: nn.Module,
    optimizer: Muon,
    losses: Losses,
    weights: Mapping[str, float],
    minutes: float,
    seed: int,
) -> None:
    """Train for so many minutes, those of earlier runs included.

    path: of the checkpoint, which holds `kept`; its stem stands in the progress. losses: by name,
    for a step and with random numbers; weights: of their sum.
    """
    checkpoint = Checkpoint(path, kept, optimizer)
    peaks = [group["lr"] for group in optimizer.param_groups]
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    elapsed, step = checkpoint.load()
    rng = np.random.default_rng([seed, step])
    began, rows = time.monotonic() - elapsed, []
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = rate(peak, step, elapsed / (60 * minutes))
        named = losses(step, rng)
        optimizer.zero_grad()
        weighted = [weights[name] * loss for name, loss in named.items()]
        torch.autograd.backward(torch.stack(weighted).sum())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        rows.append([loss.item() for loss in named.values()])
        if step % 50 == 0:
            means = zip(named, np.mean(rows[-50:], 0), strict=True)
            console.print(
                f"{path.stem} step {step}, {elapsed / 60:.1f} of {minutes:g} min,",
                ", ".join(f"{name} {mean:.4f}" for name, mean in means),
            )
        if step % 100 == 0:
            checkpoint.save(elapsed, step)
    checkpoint.save(elapsed, step)


def rate(peak: float, step: int, share: float) -> float:
    """The learning rate: a short warm-up, then half a cosine; share: of the time gone, 0..1."""
    return peak * min(1, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
