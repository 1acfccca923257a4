"""The server against diffusers, on the machine that this runs on.

`python -m benchmarks.gpu OUTPUT`: random weights of the x4 upscaler's full size, 128 x 128 pixels,
75 steps. Contenders, one process each, one at a time, in turns: diffusers eager, the same with
torch.compile, and ours from HTTP to HTTP. OUTPUT gets the model, its repository, results.json
and the pictures. Ends with an error when ours and eager's picture of the same seed are
further apart than MIN_PSNR_DB. `--tiny` is the demo model, a small image and few steps: the whole
script in minutes on a CPU. It has not been run on a GPU yet.
"""

import json
import shlex
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contenders import COMPILED, EAGER, OURS, Result, Task, run
from benchmarks.full_size import DEMO, write
from benchmarks.section import conditions
from doctor.picture import MIN_PSNR_DB, psnr

CONTENDERS = (EAGER, COMPILED, OURS)
TOKENS = 77
TERA = 1e12
console = Console()


@dataclass(frozen=True)
class Row:
    """One contender at one concurrency. share_of_limit: of what matrix products allow."""

    contender: str
    concurrency: int
    p50_s: float
    p95_s: float
    images_per_s: float
    step_ms: float
    share_of_limit: float
    peak_memory_gb: float | None
    first_s: float


def rows_of(name: str, results: list[Result], limit_s: float) -> list[Row]:
    """One a concurrency, of all turns together. limit_s: the least that an image can take."""
    rows = []
    for concurrency in results[0].loads:
        loads = [result.loads[concurrency] for result in results]
        seconds = [second for load in loads for second in load.seconds]
        rate = len(seconds) / sum(load.together_s for load in loads)
        memory = [result.peak_bytes for result in results if result.peak_bytes is not None]
        rows.append(
            Row(
                contender=name,
                concurrency=concurrency,
                p50_s=median(seconds),
                p95_s=float(np.percentile(seconds, 95)),
                images_per_s=rate,
                step_ms=median(result.step_ms for result in results),
                share_of_limit=rate * limit_s,
                peak_memory_gb=max(memory) / 1e9 if memory else None,
                first_s=max(result.first_s for result in results),
            )
        )
    return rows


def teraflop(task: Task) -> float:
    """Of the UNet's and the decoder's products in one image, 2 for each multiplication."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        config = UNet2DConditionModel.load_config(f"{task.model}/unet")
        unet: Any = UNet2DConditionModel.from_config(config)
        embeds = torch.empty(1, TOKENS, unet.config.cross_attention_dim)
        label = torch.zeros(1, dtype=torch.int64)
        unet(torch.empty(1, 7, task.side, task.side), label, embeds, class_labels=label)
        step = counter.get_total_flops()
        vae: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(f"{task.model}/vae"))
        vae.decode(torch.empty(1, 4, task.side, task.side))
        decode = counter.get_total_flops() - step
    rows = 2 if task.guidance_scale > 1 else 1
    return float(rows * task.steps * step + decode) / TERA


def peak_teraflops() -> float:
    """A second, by matrix products here: bfloat16 on a GPU, float32 on a CPU; the best of ten."""
    if torch.cuda.is_available():
        device, dtype, side = "cuda", torch.bfloat16, 8192
    else:
        device, dtype, side = "cpu", torch.float32, 1024
    left, right = torch.randn(2, side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        (left @ right)[0, 0].item()  # which waits for a GPU to be done
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds) / TERA


def show(rows: list[Row]) -> None:
    """A table, its columns named as in results.json."""
    table = Table(*asdict(rows[0]))
    for row in rows:
        values = asdict(row).values()
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)


def export(model: Path, output: Path, arguments: str) -> None:
    """A repository of the checkpoint."""
    command = [sys.executable, "-m", "cli", "export", "--model", str(model)]
    subprocess.run([*command, "--output", str(output), *shlex.split(arguments)], check=True)


def turn(name: str, task: Task) -> Result:
    """One contender, in a process of its own, which takes its GPU memory along."""
    console.print(name)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run, name, task).result()


def main(
    output: Annotated[Path, typer.Argument(help="Folder for everything that is written.")],
    model: Annotated[Path | None, typer.Option(help="A diffusers folder.")] = None,
    repository: Annotated[Path | None, typer.Option(help="Exported from it already.")] = None,
    export_arguments: Annotated[
        str, typer.Option("--export", help="Further arguments of `upscale export`.")
    ] = "",
    tiny: Annotated[bool, typer.Option(help="A try of this script: small in every way.")] = False,
    side: Annotated[int, typer.Option(help="Pixels.")] = 128,
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 75,
    images: Annotated[int, typer.Option(help="At a time, for each of the requests at once.")] = 5,
    turns: Annotated[int, typer.Option(help="Of every contender.")] = 2,
    compiled: Annotated[
        bool, typer.Option(help="With diffusers compiled, whose search takes minutes.")
    ] = True,
) -> None:
    """Print one row for every contender and concurrency."""
    output.mkdir(parents=True, exist_ok=True)
    if tiny:
        model, side, steps, images, turns = model or DEMO, 32, 3, 1, 1
    model, repository = model or output / "model", repository or output / "repository"
    if not model.exists():
        write(model)
    if not repository.exists():
        export(model, repository, export_arguments)
    task = Task(model, repository, side, steps, images, guidance_scale=9.0, noise_level=20)
    limit_s = teraflop(task) / peak_teraflops()
    names = [name for name in CONTENDERS if compiled or name != COMPILED]
    results: dict[str, list[Result]] = {name: [] for name in names}
    for _ in range(turns):
        for name in names:
            results[name].append(turn(name, task))
    pictures = {name: results[name][0].picture for name in names}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(output / f"{name.replace(' ', '-')}.png")
    rows = [row for name in names for row in rows_of(name, results[name], limit_s)]
    about: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]]),
        "conditions": conditions(),
        "limit_s": limit_s,
        "psnr_db": psnr(pictures[EAGER], pictures[OURS]),
        "rows": [asdict(row) for row in rows],
    }
    (output / "results.json").write_text(json.dumps(about, indent=2) + "\n")
    gpu = f"on {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "without a GPU"
    console.print(f"{side} x {side}, {steps} steps, {gpu}; no faster than {limit_s:.3f} s an image")
    show(rows)
    decibels = about["psnr_db"]
    console.print(f"Ours and eager's picture of one seed are {decibels:.1f} dB apart.")
    if not decibels >= MIN_PSNR_DB:
        console.print(f"They must be {MIN_PSNR_DB:g} dB apart at least.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
