"""A server that a benchmark starts for itself."""

import base64
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import httpx

from embedded.triton import end_with_parent, free_port

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 3600
ROOT = Path(__file__).parent.parent


class ServerError(Exception):
    """A server did not start; the message has what it said."""


class Server:
    """One process on a free port of 127.0.0.1, from its first 200 of /health to the block's end.

    command: takes `--port`. environment: variables beside our own.
    """

    def __init__(self, command: list[str], **environment: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [sys.executable, "-m", *command, "--port", str(self._port)]
        self._environment = {**os.environ, **environment}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=end_with_parent,  # noqa: PLW1509 (one prctl call, no lock)
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_healthy(self.url):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace").strip()
                raise ServerError(f"{' '.join(self._command)} did not start: {said}")
            time.sleep(0.1)


class UpscaleServer(Server):
    """`upscale serve` of a repository; Triton's addresses are triton_url and metrics_url.

    It makes no trials for /health after the first, so that these do not mix with what is measured,
    and takes as many requests as a benchmark sends.
    """

    def __init__(self, repository: Path, **environment: str) -> None:
        grpc_port = free_port()
        self.triton_url = f"127.0.0.1:{grpc_port}"
        command = ["cli", "serve", "--repository", str(repository)]
        super().__init__(
            [*command, "--triton-grpc-port", str(grpc_port)],
            **{
                "HEALTH_INTERVAL_S": "3600",
                "REQUEST_TIMEOUT_S": str(REQUEST_TIMEOUT_S),
                **environment,
            },
        )

    def upscale(self, image: bytes, **fields: object) -> bytes:
        """The PNG file of a request, which must succeed."""
        data = {key: str(value) for key, value in {"prompt": "a photo", **fields}.items()}
        response = httpx.post(
            f"{self.url}/upscale",
            files={"image": image},
            data=data,
            timeout=REQUEST_TIMEOUT_S,
            trust_env=False,
        )
        url: str = response.raise_for_status().json()["images"][0]["url"]
        return base64.b64decode(url.split(",")[1])

    @property
    def metrics_url(self) -> str:
        """As it printed it when it started."""
        size = os.fstat(self._log.fileno()).st_size
        found = re.search(rb"grpc://\S+ and (\S+)", os.pread(self._log.fileno(), size, 0))
        assert found is not None
        return found[1].decode()


def is_healthy(url: str) -> bool:
    """Whether /health is 200."""
    try:
        return httpx.get(f"{url}/health", timeout=60, trust_env=False).is_success
    except httpx.TransportError:
        return False
