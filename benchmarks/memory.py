"""The memory of a server, while it works."""

import threading
from typing import Self

import psutil

INTERVAL_S = 0.2


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
        while not self._done.wait(INTERVAL_S):
            self.peak = max(self.peak, self._sample())

    def _sample(self) -> int:
        return sum(process.memory_full_info().pss for process in self._processes)
