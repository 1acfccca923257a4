"""The processes that make up a running server, and what goes on while one of them fails."""

import socket
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import psutil

from embedded.leftovers import SHARED_MEMORY
from tests.photographs import file_of, photograph
from tests.server import Server, png_of, wait_until

IMAGE = file_of(photograph("rocket", 16, 16))
REQUESTS = 8  # as many as Triton works on at a time
STEPS = 200
WHOLE_S = 30.0


def part_of(server: Server, name: str) -> psutil.Process:
    """`tritonserver`, or the process that runs the model of this name."""
    for process in parts_of(server):
        command = process.cmdline()
        if command and Path(command[0]).name == name:
            return process
        if any(f"/{name}/" in argument for argument in command):
            return process
    raise LookupError(f"{name} does not run")


def parts_of(server: Server) -> list[psutil.Process]:
    """All that the server has started."""
    return psutil.Process(server.process.pid).children(recursive=True)


def left_behind(server: Server) -> list[str]:
    """What lies in /dev/shm and the temporary folder under the server's name."""
    folders = (SHARED_MEMORY, Path(tempfile.gettempdir()))
    names = [f.glob(f"upscale-{server.process.pid}-*") for f in folders]
    return sorted(path.name for found in names for path in found)


def is_free(url: str) -> bool:
    """Whether nobody listens at a URL or at host:port."""
    port = int(url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Load:
    """Eight requests at once, each with a seed of its own.

    A context manager that begins when so many are at work in Triton; `answers` waits for the one
    answer that each must get.
    """

    def __init__(self, server: Server, steps: int = STEPS, at_work: int = REQUESTS) -> None:
        self._server = server
        self._steps = steps
        self._at_work = at_work
        self._pool = ThreadPoolExecutor(REQUESTS)
        self._futures: list[Future[httpx.Response]] = []

    def __enter__(self) -> Self:
        self._futures = [self._pool.submit(self._post, seed) for seed in range(REQUESTS)]
        wait_until(
            lambda: self._server.metric("upscale_denoise_jobs", state="active") == self._at_work, 60
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def _post(self, seed: int) -> httpx.Response:
        return self._server.post(IMAGE, num_inference_steps=self._steps, seed=seed)

    def answers(self) -> list[httpx.Response]:
        return [future.result() for future in self._futures]

    def pictures(self) -> list[bytes]:
        """The files, in the order of the seeds; every answer must be one."""
        answers = self.answers()
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        return [png_of(answer) for answer in answers]


class Health:
    """What /health says while a block runs: every change of its status, with the time, seconds."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.changes: list[tuple[float, int]] = []

    @property
    def statuses(self) -> list[int]:
        return [status for _, status in self.changes]

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.changes, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.05):
            status = self._server.get("/health").status_code
            if self.statuses[-1:] != [status]:
                self.changes.append((time.monotonic(), status))
