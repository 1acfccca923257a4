"""`upscale bench peer`: our server and the peer under the same requests, in turns."""

import asyncio
import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from benchmarks.load import Planned, closed_loop, make_plan, percentile
from benchmarks.section import MEBIBYTE, section, table
from benchmarks.server import Server, UpscaleServer
from benchmarks.watch import HealthWatch, Memory

MANY = 8  # requests in flight
FIGURES = {
    "latency_s": "p50 latency, 1 in flight, s",
    "throughput": f"pictures/s, {MANY} in flight",
    "p99_s": f"p99 latency, {MANY} in flight, s",
    "cpu_s": f"CPU seconds a picture, {MANY} in flight",
    "health_p99_ms": f"/health p99, {MANY} in flight, ms",
    "memory_mib": f"peak memory, {MANY} in flight, MiB",
}
LIMITS = {"latency_s": "at most 0.6", "throughput": "at least 1.6"}


@dataclass(frozen=True)
class Round:
    """One server's turn; the names are those of FIGURES."""

    latency_s: float
    throughput: float
    p99_s: float
    cpu_s: float
    health_p99_ms: float
    memory_mib: float


@dataclass(frozen=True)
class Comparison:
    """Both servers' turns, and how far their pictures are apart, of 255."""

    ours: Sequence[Round]
    peers: Sequence[Round]
    difference: int

    def medians(self, figure: str) -> tuple[float, float, float]:
        """Ours, the peer's, and the ratio of the turns beside each other."""
        ours = [getattr(turn, figure) for turn in self.ours]
        peers = [getattr(turn, figure) for turn in self.peers]
        ratios = [our / peer for our, peer in zip(ours, peers, strict=True)]
        return median(ours), median(peers), median(ratios)


def compare(
    repository: Path, model: Path, images: Mapping[int, bytes], steps: int, rounds: int, alone: int
) -> Comparison:
    """Start both, and measure them in turns.

    repository and model: the same weights. images: a file for each side. alone: requests of a turn
    that are sent one after the other; MANY more are sent at once.
    """
    peer = Server(["benchmarks.peer", "--model", str(model)])
    with UpscaleServer(repository) as our, peer:
        pictures = [picture(server.url, images, steps) for server in (our, peer)]
        difference = int(np.abs(pictures[0] - pictures[1]).max())
        turns: list[list[Round]] = [[], []]
        for seed in range(rounds):
            plan = make_plan(alone + MANY, list(images), [steps], seed)
            for server, rows in zip((our, peer), turns, strict=True):
                rows.append(measure(server, plan, images, alone))
        return Comparison(turns[0], turns[1], difference)


def picture(url: str, images: Mapping[int, bytes], steps: int) -> NDArray[np.int16]:
    """What a server makes of the first image; warms it up."""
    fields = {"prompt": "a photo", "seed": "0", "num_inference_steps": str(steps)}
    response = httpx.post(
        f"{url}/upscale",
        files={"image": next(iter(images.values()))},
        data=fields,
        timeout=None,  # noqa: S113 - we wait as long as it takes
        trust_env=False,
    )
    content = base64.b64decode(response.raise_for_status().json()["images"][0]["url"].split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)), np.int16)


def measure(
    server: Server, plan: Sequence[Planned], images: Mapping[int, bytes], alone: int
) -> Round:
    """One turn. Raises ValueError when a request fails."""
    one = asyncio.run(closed_loop(server.url, plan[:alone], images, 1))
    before = cpu_seconds(server.pid)
    with Memory(server.pid) as memory, HealthWatch(server.url) as health:
        many = asyncio.run(closed_loop(server.url, plan[alone:], images, MANY))
    cpu_s = cpu_seconds(server.pid) - before
    if failed := {**one.errors, **many.errors}:
        raise ValueError(f"{server.url} failed under the load of the comparison: {failed}")
    return Round(
        latency_s=percentile(one.latencies_s, 50),
        throughput=many.throughput,
        p99_s=percentile(many.latencies_s, 99),
        cpu_s=cpu_s / len(many.outcomes),
        health_p99_ms=1e3 * percentile(health.latencies_s, 99),
        memory_mib=memory.peak / MEBIBYTE,
    )


def cpu_seconds(pid: int) -> float:
    """Of a server and of all that it started, so far; other work on the machine does not count."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def report(comparisons: Mapping[str, Comparison], steps: int) -> str:
    """The section of RESULTS.md. comparisons: by the size of the images."""
    rounds = len(next(iter(comparisons.values())).ours)
    difference = max(comparison.difference for comparison in comparisons.values())
    head = ["", "image", "upscale", "peer", "upscale / peer", "limit"]
    return section(
        "Beside diffusers in a route",
        "The peer (`benchmarks/peer.py`) calls diffusers' pipeline inside an async route, as"
        f" ai-runner does. Same weights in float32, same requests of {steps} steps, one server"
        f" after the other, {rounds} turns each; medians, and the median of the ratios. Their"
        f" pictures are at most {difference} of 255 apart. `/health` is asked every 50 ms, and what"
        " is due while it does not answer waits.",
        table(head, rows(comparisons)),
    )


def rows(comparisons: Mapping[str, Comparison]) -> Iterator[list[str]]:
    """A row for each figure and size."""
    for figure, name in FIGURES.items():
        for size, comparison in comparisons.items():
            ours, peers, ratio = comparison.medians(figure)
            limit = "ours below 50 ms" if figure == "health_p99_ms" else LIMITS.get(figure, "")
            yield [name, size, f"{ours:.3g}", f"{peers:.3g}", f"{ratio:.2f}", limit]
