"""The server against diffusers, on the machine that this runs on.

`python -m benchmarks.gpu OUTPUT`: random weights of the x4 upscaler's full size, 128 x 128 pixels,
75 steps. Contenders, one process each, one at a time, in turns: diffusers eager, the same with
torch.compile, and ours from HTTP to HTTP. OUTPUT gets results.json, latency.png and the pictures.
Ends with an error when ours and eager's picture of the same seed are further apart than
MIN_PSNR_DB. `--tiny` is the demo model, a small image and few steps: the whole script in minutes on
a CPU.
"""

import json
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import full_size
from benchmarks.contender import Task, psnr
from benchmarks.full_size_vae import DEMO

CONTENDERS = {"eager": "diffusers", "compile": "compiled", "ours": "ours"}
CONCURRENCIES = (1, 2, 4, 8)
COLUMNS = {  # of the table, by the names in results.json
    "contender": "",
    "concurrency": "at once",
    "p50_s": "p50 s",
    "p95_s": "p95 s",
    "images_per_s": "a second",
    "step_ms": "step ms",
    "share_of_peak": "of limit",
    "peak_memory_gb": "GB",
    "first_s": "first s",
}
# Half precision against half precision, by other kernels; in float32 on a CPU it is above 50.
MIN_PSNR_DB = 30.0
TOKENS = 77
TERA = 1e12
console = Console()


def teraflop(task: Task) -> float:
    """Of the UNet's and the decoder's products in one image, 2 for each multiplication."""
    rows = 2 if task.guidance_scale > 1 else 1
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        unet: Any = UNet2DConditionModel.from_config(
            UNet2DConditionModel.load_config(f"{task.model}/unet")
        )
        embeds = torch.empty(1, TOKENS, unet.config.cross_attention_dim)
        label = torch.zeros(1, dtype=torch.int64)
        unet(torch.empty(1, 7, task.side, task.side), label, embeds, class_labels=label)
        step = counter.get_total_flops()
        vae: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(f"{task.model}/vae"))
        vae.decode(torch.empty(1, 4, task.side, task.side))
        decode = counter.get_total_flops() - step
    return float(rows * task.steps * step + decode) / TERA


def peak_teraflops() -> float:
    """What matrix products reach here: bfloat16 on a GPU, float32 on a CPU; the best of ten."""
    has_gpu = torch.cuda.is_available()
    device, dtype, side = (
        ("cuda", torch.bfloat16, 8192) if has_gpu else ("cpu", torch.float32, 1024)
    )
    left, right = torch.randn(2, side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        left @ right
        if has_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds) / TERA


def hardware() -> str:
    """The name of the GPU, or of the CPU where there is none."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}, no GPU"


def run(name: str, task: Task, output: Path, turn: int) -> dict[str, Any]:
    """One contender's turn."""
    console.print(f"turn {turn + 1}: {CONTENDERS[name]}")
    task_path, result_path = output / "task.json", output / f"{name}-{turn}.json"
    task_path.write_text(json.dumps(asdict(task)))
    command = [sys.executable, "-m", "benchmarks.contender", name, str(task_path)]
    subprocess.run([*command, str(result_path)], check=True)
    result: dict[str, Any] = json.loads(result_path.read_text())
    return result


def summary(name: str, results: list[dict[str, Any]], flops: float, peak: float) -> list[Any]:
    """One row a concurrency; the turns of a contender together."""
    rows = []
    for concurrency in results[0]["loads"]:
        loads = [result["loads"][concurrency] for result in results]
        seconds = [second for load in loads for second in load["seconds"]]
        rate = len(seconds) / sum(load["together_s"] for load in loads)
        memory = [r["peak_bytes"] for r in results if r["peak_bytes"] is not None]
        rows.append(
            {
                "contender": CONTENDERS[name],
                "concurrency": int(concurrency),
                "p50_s": statistics.median(seconds),
                "p95_s": float(np.percentile(seconds, 95)),
                "images_per_s": rate,
                "step_ms": statistics.median(r["step_ms"] for r in results),
                "share_of_peak": rate * flops / peak,
                "peak_memory_gb": max(memory) / 1e9 if memory else None,
                "first_s": max(r["first_s"] for r in results),
            }
        )
    return rows


def plot(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Median latency and throughput over concurrency."""
    mpl.use("Agg")
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, key, label in zip(
        axes, ("p50_s", "images_per_s"), ("median latency, s", "images a second"), strict=True
    ):
        for name in CONTENDERS.values():
            own = [row for row in rows if row["contender"] == name]
            x, y = [row["concurrency"] for row in own], [row[key] for row in own]
            axis.plot(x, y, "o-" if len(own) > 1 else "D", label=name)
        axis.set(xlabel="requests at once", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    figure.suptitle(title, fontsize="small")
    figure.savefig(path, dpi=100)


def export(model: Path, output: Path, arguments: str) -> None:
    """A repository of the checkpoint."""
    command = [sys.executable, "-m", "cli", "export", "--model", str(model)]
    subprocess.run([*command, "--output", str(output), *shlex.split(arguments)], check=True)


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
) -> None:
    """Print one row for every contender and concurrency."""
    output.mkdir(parents=True, exist_ok=True)
    if tiny:
        model, side, steps, images, turns = model or DEMO, 32, 3, 1, 1
    if model is None:
        model = output / "model"
        if not model.exists():
            full_size.write(model)
    if repository is None:
        repository = output / "repository"
        if not repository.exists():
            export(model, repository, export_arguments)
    task = Task(
        str(model), str(repository), side, steps, images, CONCURRENCIES,
        guidance_scale=9.0, noise_level=20,
    )  # fmt: skip
    flops, peak = teraflop(task), peak_teraflops()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for turn in range(turns):
        for name in CONTENDERS:
            results[name].append(run(name, task, output, turn))
    rows = [row for name in CONTENDERS for row in summary(name, results[name], flops, peak)]
    decibels = psnr(*(Path(results[name][0]["picture"]) for name in ("eager", "ours")))
    about = {
        "command": shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]]),
        "hardware": hardware(),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": version("torch"),
        "teraflop_an_image": flops,
        "peak_teraflops": peak,
        "limit_s": flops / peak,
        "psnr_db": decibels,
    }
    (output / "results.json").write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")
    title = f"{side} x {side}, {steps} steps; {about['hardware']}"
    plot(rows, title, output / "latency.png")
    console.print(
        f"{title}; physical limit {flops / peak:.3f} s; ours and eager's {decibels:.1f} dB"
    )
    table = Table(*COLUMNS.values())
    for row in rows:
        values = (row[key] for key in COLUMNS)
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)
    if not decibels >= MIN_PSNR_DB:
        console.print(f"Ours and eager's picture are {decibels:.1f} dB apart, not {MIN_PSNR_DB}.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
