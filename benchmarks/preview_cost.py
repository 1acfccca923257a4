"""What watching a request costs, and what its previews cost.

`python -m benchmarks.preview_cost` starts `upscale serve` with the demo model three times: with no
previews, with one every 4 steps and with one after every step. In turns, the same picture is made
by each, once unwatched and once watched; the longer a machine is busy with other things, the more
rounds are needed.
"""

import statistics
import time
from contextlib import ExitStack
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from embedded.default_repository import default_repository
from tests.photographs import file_of, photograph
from tests.server import Server

EVERY = (0, 4, 1)  # PREVIEW_EVERY
console = Console()


def seconds(server: Server, image: bytes, steps: int, accept: str) -> tuple[float, int]:
    """How long a request took, and how many previews it had."""
    began = time.perf_counter()
    response = httpx.post(
        f"{server.url}/upscale",
        files={"image": image},
        data={"prompt": "a photo", "num_inference_steps": steps, "seed": 0, "safety_check": False},
        headers={"Accept": accept},
        timeout=None,  # noqa: S113 - the server has its own
        trust_env=False,
    )
    took = time.perf_counter() - began
    response.raise_for_status()
    return took, response.text.count("event: preview")


def main(
    side: Annotated[int, typer.Option(help="Of the image, pixels.")] = 128,
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 20,
    rounds: Annotated[int, typer.Option(help="How often.")] = 10,
) -> None:
    """Print a row a way to ask; the difference is that of the fastest rounds."""
    image = file_of(photograph("astronaut", side, side), "JPEG")
    ways = [("unwatched", "*/*", 0)]
    ways += [(f"watched, PREVIEW_EVERY={n}", "text/event-stream", n) for n in EVERY]
    times: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    previews: dict[str, int] = {}
    with ExitStack() as stack:
        repository = default_repository(console.print)
        servers = {n: stack.enter_context(Server(repository, PREVIEW_EVERY=str(n))) for n in EVERY}
        for server in servers.values():
            seconds(server, image, 1, "*/*")
        for _ in range(rounds):
            for name, accept, every in ways:
                took, previews[name] = seconds(servers[every], image, steps, accept)
                times[name].append(took)
    table = Table("", "previews", "fastest, s", "median, s", "above unwatched, ms", "ms a preview")
    table.title = f"{side} x {side}, {steps} steps, {rounds} rounds"
    fastest = min(times["unwatched"])
    silent = min(times[ways[1][0]])
    for name, taken in times.items():
        above = (min(taken) - fastest) * 1e3
        each = (min(taken) - silent) * 1e3 / previews[name] if previews[name] else None
        cells = [f"{min(taken):.3f}", f"{statistics.median(taken):.3f}", f"{above:.1f}"]
        table.add_row(name, str(previews[name]), *cells, "" if each is None else f"{each:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
