"""Requests to `POST /upscale`: planned, sent in an open or a closed loop, and what came of them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import numpy as np

TIMEOUT_S = 3600.0
OK = "200"


@dataclass(frozen=True)
class Planned:
    """One request. arrival_s: when it is due, seconds after the start. side: pixels."""

    arrival_s: float
    side: int
    num_inference_steps: int
    seed: int


def make_plan(
    count: int,
    sides: Sequence[int],
    steps: Sequence[int],
    seed: int,
    rate: float | None = None,
    *,
    is_poisson: bool = True,
) -> list[Planned]:
    """The first `count` requests of a seed, each with a size and steps out of those given.

    rate: requests a second; none for a closed loop, where all are due at once. is_poisson: gaps are
    exponential, as of callers who know nothing of each other; else all are the same. Sizes, steps
    and seeds are those of the same plan without a rate.
    """
    random = np.random.default_rng(seed)
    chosen_sides, chosen_steps = random.choice(sides, count), random.choice(steps, count)
    seeds = random.integers(2**32, size=count)
    gaps = random.exponential(size=count) if is_poisson else np.ones(count)
    arrivals = np.cumsum(gaps) / rate if rate else np.zeros(count)
    columns = zip(arrivals, chosen_sides, chosen_steps, seeds, strict=True)
    return [Planned(float(at), int(s), int(n), int(own)) for at, s, n, own in columns]


@dataclass(frozen=True)
class Outcome:
    """latency_s: from when the request was due to the last byte. status: HTTP's, or an error."""

    latency_s: float
    status: str


@dataclass(frozen=True)
class Run:
    """All requests of one load. seconds: from the start to the last answer."""

    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def latencies_s(self) -> list[float]:
        """Of the requests that succeeded."""
        return [outcome.latency_s for outcome in self.outcomes if outcome.status == OK]

    @property
    def throughput(self) -> float:
        """Pictures a second."""
        return len(self.latencies_s) / self.seconds

    @property
    def errors(self) -> dict[str, int]:
        """How many requests failed, by status."""
        statuses = Counter(outcome.status for outcome in self.outcomes)
        return {status: count for status, count in statuses.items() if status != OK}


def percentile(values: Sequence[float], percent: float) -> float:
    """Not a number without values."""
    return float(np.percentile(values, percent)) if values else float("nan")


async def open_loop(url: str, plan: Sequence[Planned], images: Mapping[int, bytes]) -> Run:
    """Send each request when it is due, whatever became of those before.

    images: a file for each side. Latency counts from the planned arrival: what is sent late,
    because this process had no time, has waited as well (coordinated omission).
    """
    async with _client(url) as client:
        began = time.perf_counter()

        async def one(planned: Planned) -> Outcome:
            due = began + planned.arrival_s
            await asyncio.sleep(due - time.perf_counter())
            status = await _send(client, planned, images)
            return Outcome(time.perf_counter() - due, status)

        outcomes = await asyncio.gather(*map(one, plan))
        return Run(outcomes, time.perf_counter() - began)


async def closed_loop(
    url: str, plan: Sequence[Planned], images: Mapping[int, bytes], concurrency: int
) -> Run:
    """Keep so many requests with the server; each is due when one before it is answered."""
    left = iter(plan)
    outcomes: list[Outcome] = []

    async def caller(client: httpx.AsyncClient) -> None:
        for planned in left:
            due = time.perf_counter()
            status = await _send(client, planned, images)
            outcomes.append(Outcome(time.perf_counter() - due, status))

    async with _client(url) as client:
        began = time.perf_counter()
        await asyncio.gather(*(caller(client) for _ in range(concurrency)))
        return Run(outcomes, time.perf_counter() - began)


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=TIMEOUT_S, trust_env=False
    ) as client:
        yield client


async def _send(client: httpx.AsyncClient, planned: Planned, images: Mapping[int, bytes]) -> str:
    fields = {
        "prompt": "a photo",
        "seed": str(planned.seed),
        "num_inference_steps": str(planned.num_inference_steps),
    }
    try:
        response = await client.post(
            "/upscale", files={"image": ("image.png", images[planned.side])}, data=fields
        )
    except httpx.TransportError as error:
        return type(error).__name__
    return str(response.status_code)
