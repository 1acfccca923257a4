"""What the whole path costs beside its engines.

`python -m benchmarks.overhead` serves the demo model and, in turns, sends a request and calls the
same engines directly, in one process: of the same class, the same shapes, as many calls.
Then eight requests at once and one after the other. Other work on the machine slows both sides, and
who waits for more processes waits longer: there the ratio of processor seconds says more.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.photograph import photograph, png
from benchmarks.server import UpscaleServer
from benchmarks.statistics import GatewaySeconds
from embedded.default_repository import default_repository
from export.triton_config import read_config
from stages.engines import find_engine

TOGETHER = 8
console = Console()

Work = Callable[[], object]
Run = Callable[[dict[str, NDArray[Any]]], list[NDArray[Any]]]


@cache
def engines_of(repository: Path) -> "Engines":
    """Loaded once."""
    return Engines(repository)


def call_engines(repository: Path, side: int, steps: int) -> None:
    """In the process that has them."""
    engines_of(repository)(side, steps)


def load_engine(repository: Path, name: str) -> Run:
    """An engine as Triton's embedded backends have it."""
    outputs = [output.name for output in read_config(repository / name / "config.pbtxt").output]
    engine = find_engine(repository / name / "1", "cpu", outputs)
    assert engine is not None
    return engine


class Engines:
    """The engine calls of one request without guidance, and nothing else."""

    def __init__(self, repository: Path) -> None:
        names = ("text_encoder", "unet", "vae_decoder", "safety_checker")
        self._run = {name: load_engine(repository, name) for name in names}
        unet = read_config(repository / "unet" / "config.pbtxt")
        self._embeds = next(i.dims for i in unet.input if i.name == "encoder_hidden_states")

    def __call__(self, side: int, steps: int) -> None:
        """The calls for an image of side x side pixels, at most one tile."""
        self._run["text_encoder"]({"input_ids": np.ones((2, self._embeds[0]), np.int64)})
        noise = np.random.default_rng(0).standard_normal((1, 7, side, side), np.float32)
        embeds = np.zeros((1, *self._embeds), np.float32)
        label = np.full((1, 1), 20)
        inputs = {
            "timestep": label.astype(np.float32),
            "encoder_hidden_states": embeds,
            "class_labels": label,
        }
        for _ in range(steps):
            self._run["unet"]({"sample": noise, **inputs})
        self._run["vae_decoder"]({"latents": noise[:, :4]})
        self._run["safety_checker"]({"pixel_values": np.zeros((1, 3, 224, 224), np.float32)})


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of processors, here and in all that was started from here."""

    seconds: float
    processor_s: float

    @classmethod
    def of(cls, work: Work) -> "Cost":
        used, began = processor_s(), time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return cls(seconds, processor_s() - used)


def processor_s() -> float:
    """Of this process and its children, since each began."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def told(seconds: GatewaySeconds) -> str:
    """The parts of a request, milliseconds."""
    return ", ".join(f"{part} {1000 * part_s:.1f}" for part, part_s in seconds.parts_s.items())


def compare(what: str, first: Work, second: Work, rounds: int) -> None:
    """Both in turns: the median of both, of their ratio, and of that of processor seconds."""
    pairs = [(Cost.of(first), Cost.of(second)) for _ in range(rounds)]
    ones, others = (
        statistics.median(cost.seconds for cost in costs) for costs in zip(*pairs, strict=True)
    )
    ratio = statistics.median(one.seconds / other.seconds for one, other in pairs)
    processors = statistics.median(one.processor_s / other.processor_s for one, other in pairs)
    console.print(f"{what}: {ones:.3f} s / {others:.3f} s, ratio {ratio:.3f}", end="")
    console.print(f" (of processor seconds {processors:.3f})")


def main(
    sides: Annotated[list[int], typer.Option("--side", help="Pixels, 128 at most.")] = [  # noqa: B006
        128,
        64,
    ],
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 20,
    rounds: Annotated[int, typer.Option(help="Of a request and its calls; a third of eight.")] = 15,
) -> None:
    """Print two ratios a size."""
    repository = asyncio.run(default_repository(console.print))
    # Linux shares out its processors by session, and Triton is in one of its own.
    spawn = get_context("spawn")
    with (
        UpscaleServer(repository) as server,
        ThreadPoolExecutor(TOGETHER) as pool,
        ProcessPoolExecutor(1, spawn, os.setsid) as bare,
    ):
        for side in sides:
            image = png(photograph(None, side, side))
            fields = {"num_inference_steps": steps, "seed": 0, "guidance_scale": 1}
            request = partial(server.upscale, image, **fields)

            def calls(side: int = side) -> None:
                bare.submit(call_engines, repository, side, steps).result()

            def together(request: Work = request) -> None:
                for future in [pool.submit(request) for _ in range(TOGETHER)]:
                    future.result()

            def in_turn(request: Work = request) -> None:
                for _ in range(TOGETHER):
                    request()

            for warm_up in (request, calls):
                warm_up()
            console.print(f"{side} x {side}, {steps} steps")
            before = GatewaySeconds.read(server.url)
            compare("a request / its engine calls", request, calls, rounds)
            console.print(f"  mean ms: {told((GatewaySeconds.read(server.url) - before) / rounds)}")
            compare(f"{TOGETHER} at once / in turn", together, in_turn, max(1, rounds // 3))


if __name__ == "__main__":
    typer.run(main)
