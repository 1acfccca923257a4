"""How long /health takes while a server works."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Self

import httpx

INTERVAL_S = 0.05
TIMEOUT_S = 600.0


class HealthWatch:
    """Asks for /health every INTERVAL_S while the block runs.

    In a process of its own, so that the load beside it does not disturb it. latencies_s: from when
    a call was due, also when it could not be sent because the one before it was not answered.
    """

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=watch, args=(url, theirs))
        self.latencies_s: Sequence[float] = ()

    def __enter__(self) -> Self:
        self._process.start()
        self._connection.recv()  # it has started
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send(None)
        self.latencies_s = self._connection.recv()
        self._process.join()


def watch(url: str, connection: Connection) -> None:
    """Until something is received; then send the latencies. Raises when /health is not 200."""
    latencies_s = []
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        client.get("/health")
        connection.send(None)
        due = time.perf_counter()
        while not connection.poll(max(0.0, due - time.perf_counter())):
            client.get("/health").raise_for_status()
            latencies_s.append(time.perf_counter() - due)
            due += INTERVAL_S
    connection.send(latencies_s)
