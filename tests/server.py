"""`upscale serve` as a process, and what a test asks of it."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import InferenceServerClient

from embedded.triton import Triton, has_ended
from tests.leftovers import remove_files

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 120.0
# One for all: to make a client takes 40 ms of a processor, for certificates that nobody asks for.
# Connections are not kept, as servers come and go.
HTTP = httpx.Client(
    timeout=180,
    trust_env=False,
    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
)


class Server:
    """One server on free ports. What it prints is kept in `output`.

    A context manager that kills it, which takes no time; `stop` is for tests of its end. It makes
    no trials for /health after the first, unless a test says otherwise: they would be among what
    tests count.
    """

    started: ClassVar[set[int]] = set()  # process ids

    _ready = r"Upscaling at (\S+)/upscale"

    def __init__(self, repository: Path, **environment: str) -> None:
        self.repository = repository
        self._environment = {
            **os.environ,
            # Requests that are sent to be cut off are not refused for what they would take.
            "REQUEST_TIMEOUT_S": "3600",
            "PORT": "0",
            "HEALTH_INTERVAL_S": "3600",
            **environment,
        }
        self.output: list[str] = []
        self.url = self.triton_url = self.metrics_url = ""
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        try:
            return self.start()
        except AssertionError:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> Self:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            self._command(),
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.add(self.process.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self.url or self.process.poll() is not None, START_TIMEOUT_S)
        assert self.url, f"the server did not start: {''.join(self.output)}"
        return self

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "cli", "serve", "--repository", str(self.repository)]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.output.append(line)
            if found := re.search(r"grpc://(\S+) and (\S+)", line):
                self.triton_url, self.metrics_url = found.groups()
            if found := re.search(self._ready, line):
                self.url = found[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._close()
        return status

    def kill(self) -> None:
        """End it at once with all that it has started, and remove what they leave."""
        parts: list[psutil.Process] = []
        logs = [Path(name) for name in re.findall(r"\S+\.log", "".join(self.output))]
        if self.process.poll() is None:
            process = psutil.Process(self.process.pid)
            process.suspend()  # so that it starts nothing more
            parts = process.children(recursive=True)
            for triton in process.children():
                with suppress(OSError):
                    logs.append(Path(f"/proc/{triton.pid}/fd/1").readlink())
                with suppress(ProcessLookupError):
                    os.killpg(triton.pid, signal.SIGKILL)  # and its stubs
            process.kill()
            self.process.wait()
        wait_until(lambda: all(map(has_ended, parts)), 60)
        self._close()
        remove_files(self.process.pid)
        for log in logs:
            if log.name.startswith("upscale-triton-"):
                log.unlink(missing_ok=True)

    def _close(self) -> None:
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._log.close()

    def post(self, image: bytes, **fields: Any) -> httpx.Response:
        data = {key: str(value) for key, value in {"prompt": "a photo", **fields}.items()}
        return HTTP.post(f"{self.url}/upscale", files={"image": image}, data=data)

    def upscale(self, image: bytes, **fields: Any) -> bytes:
        """The PNG file of a request that must succeed."""
        response = self.post(image, **fields)
        assert response.status_code == 200, response.text
        return png_of(response)

    def get(self, path: str) -> httpx.Response:
        return HTTP.get(f"{self.url}{path}", timeout=30)

    def metric(self, name: str, **labels: str) -> float:
        """One number of Triton's /metrics."""
        text = HTTP.get(self.metrics_url, timeout=30).text
        label = ",".join(f'{key}="{value}"' for key, value in labels.items())
        for line in text.splitlines():
            if line.startswith(f"{name}{{{label}}} "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{name}{{{label}}} is not in {text}")

    def gateway_metric(self, name: str, **labels: str) -> float:
        """A sum over the gateway's /metrics with these labels; 0 for what was never counted."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    def log(self) -> list[dict[str, Any]]:
        """What it has logged, an object a line."""
        size = os.fstat(self._log.fileno()).st_size
        return [json.loads(line) for line in os.pread(self._log.fileno(), size, 0).splitlines()]

    def counts(self, model: str) -> tuple[int, int]:
        """Rows and executions of an engine so far: of unet by denoise, else by Triton."""
        if model == "unet":
            rows, calls = (
                self.metric("upscale_denoise_unet_total", of=of) for of in ("rows", "calls")
            )
            return int(rows), int(calls)
        with InferenceServerClient(self.triton_url) as client:
            statistics = client.get_inference_statistics(model).model_stats[0]
        return statistics.inference_count, statistics.execution_count


class Gateway(Server):
    """`upscale gateway`: the gateway alone, before the Triton at an address."""

    _ready = r"The gateway is at (\S+);"

    def __init__(self, triton_url: str, metrics_url: str = "", **environment: str) -> None:
        super().__init__(Path(), TRITON_URL=triton_url, **environment)
        self.triton_url, self.metrics_url = triton_url, metrics_url

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "cli", "gateway"]


@contextmanager
def gateway_before(server: Server, **environment: str) -> Iterator[Gateway]:
    """A gateway with settings of its own before the Triton of a server: both serve at once."""
    with Gateway(server.triton_url, server.metrics_url, **environment) as gateway:
        wait_until(lambda: gateway.get("/readyz").status_code == 200, START_TIMEOUT_S)
        yield gateway


@contextmanager
def killed(triton: Triton) -> Iterator[Triton]:
    """A Triton without a gateway, started and in the end killed: `stop` is for tests of its end."""
    try:
        triton.start()
        yield triton
    finally:
        triton.kill()


def png_of(response: httpx.Response) -> bytes:
    return file_of_url(response.json()["images"][0]["url"])


def file_of_url(url: str) -> bytes:
    prefix, content = url.split(",", 1)
    assert prefix == "data:image/png;base64"
    return base64.b64decode(content)


def wait_until(condition: Callable[[], Any], timeout_s: float) -> None:
    """Poll; fails the test when the condition does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
