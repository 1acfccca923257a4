"""What is watched while a server works: how long /health takes, and its memory."""

import multiprocessing
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Self

import httpx
import psutil

HEALTH_INTERVAL_S = 0.05
MEMORY_INTERVAL_S = 0.2
TIMEOUT_S = 600.0


class HealthWatch:
    """Asks for /health every HEALTH_INTERVAL_S while the block runs.

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
            due += HEALTH_INTERVAL_S
    connection.send(latencies_s)


class Memory:
    """Samples the memory of a server and of all that it started while a block runs.

    Bytes of resident memory: what several processes share counts once (Linux' PSS).
    """

    def __init__(self, pid: int) -> None:
        gateway = psutil.Process(pid)
        self._processes = [gateway, *gateway.children(recursive=True)]
        self.idle = self.peak = self._sample()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(MEMORY_INTERVAL_S):
            self.peak = max(self.peak, self._sample())

    def _sample(self) -> int:
        return sum(process.memory_full_info().pss for process in self._processes)
