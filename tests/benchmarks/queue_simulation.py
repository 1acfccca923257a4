"""Requests before several Tritons, round by round: a check of the formula in benchmarks/sizing.py.

Unlike the formula it knows that every image takes the same number of steps, that a request joins
between two rounds, and that the gateway gives each to the Triton with the fewest.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from benchmarks.sizing import Load, Triton

ARRIVAL = -1


@dataclass
class Job:
    """An image; came: when its request did, seconds."""

    came: float
    steps_left: int


@dataclass
class Server:
    """A Triton; stepping: those of its jobs that the round takes along."""

    jobs: list[Job] = field(default_factory=list)
    stepping: list[Job] = field(default_factory=list)


def simulate(
    triton: Triton, count: int, per_hour: float, waiting: int, requests: int, seed: int = 0
) -> Load:
    """The same as `load`, counted over so many requests."""
    draw = random.Random(seed)  # noqa: S311
    servers = [Server() for _ in range(count)]
    queue: deque[Job] = deque()
    events: list[tuple[float, int]] = [(0.0, ARRIVAL)]
    came = waited = refused = served = 0
    seconds = busy = now = 0.0

    def begin_round(index: int, end: int = 0) -> None:
        """end: images that are decoded first."""
        nonlocal busy
        server = servers[index]
        server.stepping = list(server.jobs)
        if not server.jobs and not end:
            return
        lasts = triton.round_s(len(server.jobs)) + end * triton.other_s
        busy += lasts
        heappush(events, (now + lasts, index))

    while events:
        now, index = heappop(events)
        if index == ARRIVAL:
            came += 1
            if came < requests:
                heappush(events, (now + draw.expovariate(per_hour / 3600), ARRIVAL))
            index = min(range(count), key=lambda i: len(servers[i].jobs))
            server, job = servers[index], Job(now, triton.steps)
            if len(server.jobs) < triton.places:
                server.jobs.append(job)
                if len(server.jobs) == 1 and not server.stepping:
                    begin_round(index)
            elif len(queue) < waiting:
                waited += 1
                queue.append(job)
            else:
                refused += 1
            continue
        server = servers[index]
        for job in server.stepping:
            job.steps_left -= 1
        ended = [job for job in server.stepping if job.steps_left == 0]
        server.jobs = [job for job in server.jobs if job.steps_left]
        served += len(ended)
        seconds += sum(now + triton.other_s - job.came for job in ended)
        while queue and len(server.jobs) < triton.places:
            server.jobs.append(queue.popleft())
        begin_round(index, len(ended))
    return Load(
        busy=served / now / (count * triton.rate(triton.places)),
        waits=waited / came,
        refused=refused / came,
        seconds=seconds / served,
    )
