"""`upscale bench growth`: how time and memory grow with size, steps and requests at once.

The law is docs/large-images.md's: work is the rows of the UNet times the pixels of a tile, and the
decoder works in the same tiles; so seconds are a + b * work. Memory is a + b * pixels, and a + b *
requests. a and b are fitted, so that what does not follow the law stands beside the line.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tritonclient.grpc import InferenceServerClient

from benchmarks.load import Planned, closed_loop
from benchmarks.photograph import png
from benchmarks.section import MEBIBYTE, link, plotted, section, table
from benchmarks.server import UpscaleServer
from benchmarks.statistics import Statistics
from benchmarks.watch import Memory
from stages.tiles import MAX_TILE, MULTIPLE, OVERLAP, spans

PLOT = "growth.png"
Photograph = Callable[[int], Image.Image]


@dataclass(frozen=True)
class Case:
    """Requests of one kind, all at once. side: of a square image, pixels."""

    side: int
    steps: int
    concurrency: int = 1

    @property
    def padded(self) -> int:
        """The side as the stages see it."""
        return self.side + -self.side % MULTIPLE

    @property
    def tiles(self) -> int:
        """Of the whole image."""
        count = -(-(self.padded - OVERLAP) // (MAX_TILE - OVERLAP))
        return 1 if self.padded <= MAX_TILE else count**2

    @property
    def rows(self) -> int:
        """Of the UNet, without guidance, for all requests."""
        return self.concurrency * self.steps * self.tiles

    @property
    def work(self) -> int:
        """Pixels that the UNet sees."""
        return self.rows * spans(self.padded, MAX_TILE)[0].length ** 2

    @property
    def pixels(self) -> int:
        """Of all images."""
        return self.concurrency * self.side**2


@dataclass(frozen=True)
class Measured:
    """idle_bytes, peak_bytes: memory before and meanwhile. rows, calls: of the UNet."""

    case: Case
    seconds: float
    idle_bytes: int
    peak_bytes: int
    rows: float
    calls: float


@dataclass(frozen=True)
class Series:
    """Cases that differ in one thing. value: that of a case. unit: as the axis has it."""

    name: str
    unit: str
    cases: Sequence[Case]
    value: Callable[[Case], int]


@dataclass(frozen=True)
class Result:
    """A series as it was measured, by one server that was fresh at first."""

    series: Series
    measured: Sequence[Measured]
    idle_bytes: int

    @property
    def values(self) -> list[int]:
        return [self.series.value(one.case) for one in self.measured]

    @property
    def seconds(self) -> list[float]:
        return [one.seconds for one in self.measured]

    @property
    def memory_mib(self) -> list[float]:
        """Peaks above the fresh server; what a case leaves behind counts in the next."""
        return [(one.peak_bytes - self.idle_bytes) / MEBIBYTE for one in self.measured]

    @property
    def seconds_by_law(self) -> list[float]:
        """a + b * work, relatively nearest."""
        weights = [1 / seconds for seconds in self.seconds]
        return fitted([one.case.work for one in self.measured], self.seconds, weights)

    @property
    def memory_mib_by_law(self) -> list[float]:
        """a + b * pixels."""
        pixels = [one.case.pixels for one in self.measured]
        return fitted(pixels, self.memory_mib, [1.0] * len(pixels))


def all_series(
    sides: Sequence[int], side_steps: int, steps: Sequence[int], concurrencies: Sequence[int]
) -> list[Series]:
    """Sizes with few steps, since large ones take long; steps and requests of 64 x 64."""
    return [
        Series(
            f"size, {side_steps} steps",
            "pixels of a side",
            [Case(s, side_steps) for s in sides],
            lambda c: c.side,
        ),
        Series("steps, 64 x 64", "steps", [Case(64, n) for n in steps], lambda c: c.steps),
        Series(
            "requests at once, 64 x 64, 10 steps",
            "requests at once",
            [Case(64, 10, n) for n in concurrencies],
            lambda c: c.concurrency,
        ),
    ]


def measure(server: UpscaleServer, photograph: Photograph, case: Case) -> Measured:
    """Send the case once. Raises ValueError when a request fails."""
    images = {case.side: png(photograph(case.side))}
    plan = [Planned(0.0, case.side, case.steps, seed) for seed in range(case.concurrency)]
    with InferenceServerClient(server.triton_url) as client:
        statistics = Statistics(client, server.metrics_url)
        before = statistics.read()
        with Memory(server.pid) as memory:
            run = asyncio.run(closed_loop(server.url, plan, images, case.concurrency))
        unet = statistics.since(before)["unet"]
    if run.errors:
        raise ValueError(f"{case} failed: {run.errors}")
    return Measured(case, run.seconds, memory.idle, memory.peak, unet.rows, unet.executions)


def fitted(xs: Sequence[float], ys: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The line a + b * x nearest to the points, at each of them; their mean if x never changes."""
    degree = 1 if len(set(xs)) > 1 else 0
    scale = max(xs)  # keeps the fit well conditioned
    factors = np.polyfit([x / scale for x in xs], ys, degree, w=weights)
    return [float(np.polyval(factors, x / scale)) for x in xs]


def report(results: Sequence[Result], plots: Path) -> str:
    """The section of RESULTS.md; draws its plot into a folder."""
    draw(results, plots / PLOT)
    parts = []
    for result in results:
        head = [result.series.unit, "UNet rows", "by the law", "UNet calls", "seconds"]
        head += ["by the law", "above idle, MiB", "by the law"]
        parts += [f"With {result.series.name}:", table(head, cells(result))]
    return section(
        "How cost grows",
        "Each line is one case, sent once, without guidance. The laws (docs/large-images.md): UNet"
        " rows are requests x steps x tiles; seconds are a + b x rows x pixels of a tile; the peak"
        " of memory above the fresh server is a + b x pixels of all images. a and b are fitted to"
        " the column.",
        *parts,
        link(plots / PLOT, "Seconds and memory against size, steps and requests, with the laws"),
    )


def cells(result: Result) -> Iterator[list[str]]:
    """The rows of one table."""
    columns = zip(
        result.values,
        result.measured,
        result.seconds_by_law,
        result.memory_mib,
        result.memory_mib_by_law,
        strict=True,
    )
    for value, one, seconds_by_law, memory_mib, memory_mib_by_law in columns:
        yield [
            str(value),
            f"{one.rows:.0f}",
            str(one.case.rows),
            f"{one.calls:.0f}",
            f"{one.seconds:.2f}",
            f"{seconds_by_law:.2f}",
            f"{memory_mib:.0f}",
            f"{memory_mib_by_law:.0f}",
        ]


def draw(results: Sequence[Result], path: Path) -> None:
    """Seconds of each series, and memory of those whose pixels grow."""
    grow = [result for result in results if len({o.case.pixels for o in result.measured}) > 1]
    with plotted(path, len(results) + len(grow)) as axes:
        for axis, result in zip(axes, results, strict=False):
            axis.plot(result.values, result.seconds, "o", label="measured")
            axis.plot(result.values, result.seconds_by_law, "--", label="law")
            axis.set(xlabel=result.series.unit, ylabel="seconds", xscale="log", yscale="log")
            label_values(axis, result.values)
        for axis, result in zip(axes[len(results) :], grow, strict=True):
            axis.plot(result.values, result.memory_mib, "o", label="measured")
            axis.plot(result.values, result.memory_mib_by_law, "--", label="law")
            axis.set(xlabel=result.series.unit, ylabel="MiB above idle", xscale="log")
            label_values(axis, result.values)


def label_values(axis: Any, values: Sequence[int]) -> None:
    """Ticks where something was measured, instead of powers of ten."""
    axis.set_xticks(values, map(str, values))
    axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
