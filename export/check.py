"""`upscale export --check`: every engine that this machine can have, built, verified and timed."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch
from rich.progress import Progress
from rich.table import Table

from export.checkpoint import Checkpoint
from export.engine_choice import Choice, Engine, choice_refusal, has_gpu
from export.engine_file import write_engine
from export.errors import ExportError
from export.exactness import Run, seeded_inputs
from export.networks import Network, networks_of
from export.precision import Precision

BATCH = 2  # one request with guidance
SIDES = (32, 64, 128)  # of the latents
RUNS = 5


def check_engines(
    checkpoint: Checkpoint,
    progress: Progress,
    engines: Sequence[Engine] = tuple(Engine),
    precisions: Sequence[Precision] = tuple(Precision),
) -> Table:
    """A table with a row for each network, engine and precision; what cannot be had says why."""
    table = Table("network", "engine", "precision", "error", "allowed", title=_title())
    for side in SIDES:
        table.add_column(f"ms, {side}²", justify="right")
    table.add_column("")
    rows = list(product(networks_of(checkpoint), engines, precisions))
    task = progress.add_task("check", total=len(rows))
    for network, engine, precision in rows:
        progress.update(task, description=f"{network.name}: {engine} {precision}")
        cells, why = _check_engine(network, Choice(engine, precision), checkpoint)
        table.add_row(network.name, engine, precision, *cells, why)
        progress.update(task, advance=1)
    return table


def _check_engine(
    network: Network, choice: Choice, checkpoint: Checkpoint
) -> tuple[list[str], str]:
    """The cells of a row from `error` on."""
    empty = [""] * (2 + len(SIDES))
    if why := choice_refusal(network, choice, has_gpu()):
        return empty, why
    module = network.module(checkpoint).eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        try:
            written = write_engine(network, choice, module, checkpoint, Path(folder), BATCH)
        except ExportError as refused:
            return empty, str(refused)
        allowed, error = network.tolerance_in(choice.precision), written.measured.error
        times = [
            f"{1000 * seconds_of(written.run, network, checkpoint, side):.1f}" for side in SIDES
        ]
    return [f"{error:.1e}", f"{allowed:.0e}", *times], "" if error <= allowed else "too far off"


def seconds_of(run: Run, network: Network, checkpoint: Checkpoint, side: int) -> float:
    """The median of some runs, after one that warms up."""
    inputs = seeded_inputs(network, checkpoint, (BATCH, side, side))
    took = []
    for _ in range(1 + RUNS):
        began = time.perf_counter()
        run(inputs)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def _title() -> str:
    device = (
        torch.cuda.get_device_name() if has_gpu() else f"CPU, {torch.get_num_threads()} threads"
    )
    return f"{device}; batches of {BATCH}; PyTorch {torch.__version__}"
