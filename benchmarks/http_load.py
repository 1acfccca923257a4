"""`upscale bench http`: `POST /upscale` under closed-loop and open-loop load, /health beside it."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Run, closed_loop, make_plan, open_loop, percentile
from benchmarks.section import link, plotted, section, table
from benchmarks.watch import HealthWatch

RATES = (0.5, 0.8, 1.1)  # of the most that was reached with requests in flight
PLOT = "http.png"


@dataclass(frozen=True)
class Mix:
    """What requests are like: sizes in pixels of a side, steps, the seed of the plan."""

    sides: Sequence[int]
    steps: Sequence[int]
    seed: int

    def __str__(self) -> str:
        sides = ", ".join(f"{side} x {side}" for side in self.sides)
        return f"photographs of {sides}, {', '.join(map(str, self.steps))} steps, seed {self.seed}"


@dataclass(frozen=True)
class Row:
    """One load. rate: planned requests a second; else concurrency: requests in flight."""

    run: Run
    health_s: Sequence[float]
    concurrency: int | None = None
    rate: float | None = None


@dataclass(frozen=True)
class HttpLoad:
    """Loads on one server. images: a file for each side. requests: of a load, at least."""

    url: str
    images: Mapping[int, bytes]
    mix: Mix
    requests: int
    is_poisson: bool = True

    def rows(self, concurrencies: Sequence[int], rates: Sequence[float]) -> Iterator[Row]:
        """The closed loops, then the open ones; without rates, RATES of the best throughput."""
        self._measure(self._closed(self.requests, max(concurrencies)))  # warms up
        best = 0.0
        for concurrency in concurrencies:
            count = max(self.requests, 4 * concurrency)  # so that few are sent beside fewer
            run, health_s = self._measure(self._closed(count, concurrency))
            best = max(best, run.throughput)
            yield Row(run, health_s, concurrency=concurrency)
        for rate in rates or [share * best for share in RATES]:
            run, health_s = self._measure(self._open(rate))
            yield Row(run, health_s, rate=rate)

    def _measure(self, load: Coroutine[Any, Any, Run]) -> tuple[Run, Sequence[float]]:
        with HealthWatch(self.url) as watch:
            run = asyncio.run(load)
        return run, watch.latencies_s

    def _closed(self, count: int, concurrency: int) -> Coroutine[Any, Any, Run]:
        plan = make_plan(count, self.mix.sides, self.mix.steps, self.mix.seed)
        return closed_loop(self.url, plan, self.images, concurrency)

    def _open(self, rate: float) -> Coroutine[Any, Any, Run]:
        plan = make_plan(
            2 * self.requests,
            self.mix.sides,
            self.mix.steps,
            self.mix.seed,
            rate,
            is_poisson=self.is_poisson,
        )
        return open_loop(self.url, plan, self.images)


def report(rows: Sequence[Row], mix: Mix, plots: Path, *, is_poisson: bool) -> str:
    """The section of RESULTS.md; draws its plot into a folder."""
    draw(rows, plots / PLOT)
    arrivals = "as a Poisson process" if is_poisson else "at equal distances"
    head = ["load", "requests", "pictures/s", "p50, s", "p90, s", "p99, s", "errors"]
    return section(
        "HTTP",
        f"Requests drawn from a plan: {mix}. A rate is an open loop: requests come {arrivals},"
        " however slow the server is, and latency counts from the planned arrival. `/health` is"
        " asked every 50 ms meanwhile, by another process.",
        table([*head, "/health p50, ms", "/health p99, ms"], map(cells, rows)),
        link(plots / PLOT, "Latency by planned rate, and by pictures a second of closed loops"),
    )


def cells(row: Row) -> list[str]:
    """A row of the table."""
    latencies = row.run.latencies_s
    load = f"{row.rate:.2f}/s" if row.concurrency is None else f"{row.concurrency} in flight"
    errors = ", ".join(f"{count} x {status}" for status, count in row.run.errors.items())
    return [
        load,
        str(len(row.run.outcomes)),
        f"{row.run.throughput:.2f}",
        *(f"{percentile(latencies, percent):.2f}" for percent in (50, 90, 99)),
        errors or "none",
        *(f"{1e3 * percentile(row.health_s, percent):.1f}" for percent in (50, 99)),
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Latencies of both kinds of load."""
    closed = [row for row in rows if row.concurrency is not None]
    opened = [row for row in rows if row.concurrency is None]
    with plotted(path, 2) as (left, right):
        for percent in (50, 90, 99):
            name = f"p{percent}"
            for axis, some in ((left, closed), (right, opened)):
                latencies = [percentile(row.run.latencies_s, percent) for row in some]
                loads = [row.rate or row.run.throughput for row in some]
                axis.plot(loads, latencies, "o-", label=name)
        for row in closed:
            place = (row.run.throughput, percentile(row.run.latencies_s, 50))
            left.annotate(str(row.concurrency), place, fontsize="small")
        left.set(xlabel="pictures/s", ylabel="latency, s", title="by requests in flight")
        right.set(xlabel="planned requests/s", ylabel="latency, s", title="open loop")
        for axis in (left, right):
            axis.set_ylim(bottom=0)
