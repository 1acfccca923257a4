"""Engines and precisions on this machine: time against ONNX in fp32, and the picture's difference.

`python -m benchmarks.engines` for the demo model. One process a contender and round, in turns; a
ratio is the median of those of the rounds, so that a busy machine slows both sides of it. Batches
are small, as on a CPU a larger one runs in parts (`embedded/engines.py`); bf16 only where the CPU
has instructions for it.
"""

import copy
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from export.aoti_engine import export_aoti, load_aoti
from export.checkpoint import MODELS, Checkpoint, load_checkpoint
from export.engine_choice import Engine
from export.exactness import Run, measure, seeded_inputs
from export.networks import NETWORKS, Network
from export.onnx_engine import export_onnx, load_onnx
from export.precision import Precision, in_precision
from export.quiet import quiet_libraries
from export.zero_weights import without_zero_weights
from stages.machine import cpu_instructions
from tests.photographs import photograph

SIDES = (32, 64, 128)  # of the latents
BATCHES = (1, 2)
RUNS = 5
console = Console()
Times = dict[tuple[str, int, int], float]  # ms by network, side and batch


@dataclass(frozen=True)
class Contender:
    """One way to run a network."""

    engine: Engine
    precision: Precision
    channels_last: bool = False

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}{' channels_last' * self.channels_last}"

    def path(self, folder: Path, network: Network) -> Path:
        suffix = "onnx" if self.engine is Engine.ONNX else "pt2"
        return folder / f"{network.name} {self}.{suffix}".replace(" ", "-")

    def load(self, folder: Path, network: Network) -> Run:
        path = self.path(folder, network)
        return load_onnx(network, path) if self.engine is Engine.ONNX else load_aoti(path, "cpu")


IN_FP32 = (Contender(Engine.ONNX, Precision.FP32), Contender(Engine.AOTI, Precision.FP32))
IN_BF16 = (
    Contender(Engine.AOTI, Precision.BF16),
    Contender(Engine.AOTI, Precision.BF16, channels_last=True),
)


def all_contenders() -> tuple[Contender, ...]:
    """ONNX in fp32 first."""
    instructions = cpu_instructions(Path("/proc/cpuinfo").read_text())
    if {"avx512_bf16", "amx_bf16"}.isdisjoint(instructions):
        console.print("This CPU has no instructions for bf16, so it is left out.")
        return IN_FP32
    return IN_FP32 + IN_BF16


def networks(names: list[str]) -> list[Network]:
    """The specs of these."""
    return [network for network in NETWORKS if network.name in names]


def build(
    checkpoint: Checkpoint, names: list[str], folder: Path, contenders: Sequence[Contender]
) -> None:
    """Write what is not there yet, and print each one's error."""
    for network, contender in product(networks(names), contenders):
        module = network.module(checkpoint).eval().requires_grad_(False)
        path = contender.path(folder, network)
        began = time.monotonic()
        if not path.exists():
            inside: Any = in_precision(without_zero_weights(module), contender.precision)
            if contender.channels_last:
                inside = copy.deepcopy(inside).to(memory_format=torch.channels_last)
            if contender.engine is Engine.ONNX:
                export_onnx(network, inside, checkpoint, path)
            else:
                export_aoti(network, inside, checkpoint, path, "cpu")
        took = time.monotonic() - began
        error = measure(network, module, checkpoint, contender.load(folder, network)).error
        console.print(f"{network.name}, {contender}: written in {took:.0f} s, error {error:.1e}")


def time_all(model: str, names: list[str], folder: Path, contender: Contender) -> Times:
    """In a process of its own: ms of every network, side and batch."""
    quiet_libraries()
    checkpoint = load_checkpoint(model, None, "none", None)
    times: Times = {}
    for network in networks(names):
        run = contender.load(folder, network)
        for side, batch in product(SIDES, BATCHES):
            inputs = seeded_inputs(network, checkpoint, (batch, side, side))
            run(inputs)
            took = []
            for _ in range(RUNS):
                began = time.perf_counter()
                run(inputs)
                took.append(1000 * (time.perf_counter() - began))
            times[network.name, side, batch] = statistics.median(took)
    return times


def picture(checkpoint: Checkpoint, folder: Path, contender: Contender) -> Any:
    """One whole image, diffusers' with its UNet replaced by the engine; uint8."""
    pipeline: Any = copy.copy(checkpoint.pipeline)
    for name in MODELS:
        setattr(pipeline, name, checkpoint.load(name))
    run = contender.load(folder, networks(["unet"])[0])
    original = pipeline.unet.forward

    def forward(sample: Any, timestep: Any, encoder_hidden_states: Any, **other: Any) -> Any:
        rows = len(sample)
        return (
            run(
                {
                    "sample": sample,
                    "timestep": timestep.reshape(1, 1).expand(rows, 1).contiguous(),
                    "encoder_hidden_states": encoder_hidden_states,
                    "class_labels": other["class_labels"].reshape(-1, 1).expand(rows, 1),
                }
            ),
        )

    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.forward = forward
    try:
        image = pipeline(
            "a photo",
            photograph("astronaut", 64, 64),
            num_inference_steps=20,
            guidance_scale=checkpoint.defaults.guidance_scale,
            noise_level=checkpoint.defaults.noise_level,
            generator=torch.Generator().manual_seed(0),
        ).images[0]
    finally:
        pipeline.unet.forward = original
    return np.asarray(image).astype(int)


def main(
    model: Annotated[str, typer.Option(help="diffusers folder.")] = "demo/model",
    folder: Annotated[Path | None, typer.Option(help="Keeps the engines; else none are.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of all contenders.")] = 5,
    network: Annotated[list[str], typer.Option(help="Repeat it.")] = ["unet", "vae_decoder"],  # noqa: B006
) -> None:
    """Print one row a network, side and batch."""
    quiet_libraries()
    with tempfile.TemporaryDirectory() as temporary:
        kept = folder or Path(temporary)
        kept.mkdir(exist_ok=True)
        checkpoint = load_checkpoint(model, None, "none", None)
        contenders = all_contenders()
        first, *others = contenders
        build(checkpoint, network, kept, contenders)
        if "unet" in network:
            expected = picture(checkpoint, kept, first)
            for contender in others:
                difference = np.abs(picture(checkpoint, kept, contender) - expected)
                console.print(
                    f"picture by {contender}: at most {difference.max()} of 255 off,"
                    f" PSNR {20 * np.log10(255 / np.sqrt((difference**2).mean() + 1e-9)):.1f} dB"
                )
        taken: dict[Contender, list[Times]] = {contender: [] for contender in contenders}
        for _ in range(rounds):
            for contender in contenders:
                spawn = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                    result = pool.submit(time_all, model, network, kept, contender).result()
                taken[contender].append(result)
    table = Table("network", "side", "batch", f"{first}, ms", *(f"{c}, ratio" for c in others))
    for key in taken[first][0]:
        base = [times[key] for times in taken[first]]
        ratios = [
            statistics.median(t[key] / b for t, b in zip(taken[c], base, strict=True))
            for c in others
        ]
        cells = [f"{statistics.median(base):.1f}", *(f"{ratio:.2f}" for ratio in ratios)]
        table.add_row(*map(str, key), *cells)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
