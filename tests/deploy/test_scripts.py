"""The images' scripts, with the real Triton of the wheel and a real gateway before it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from embedded.triton import free_port
from embedded.wheel import Wheel, environment, lay_out_backends
from tests.deploy.dockerfile import DOCKER
from tests.photographs import file_of, photograph
from tests.server import Gateway, wait_until

SCRIPTS = DOCKER / "triton"
IMAGE = file_of(photograph("rocket", 16, 16))


class Started:
    """serve.sh as the image's entry point starts it, over the wheel's Triton."""

    def __init__(self, repository: Path, folder: Path) -> None:
        wheel = Wheel.find()
        self._backends = folder / "backends"
        lay_out_backends(wheel, self._backends)
        variables = environment(wheel)
        self.variables = variables | {
            "PATH": f"{wheel.server.parent}:{variables['PATH']}",
            "MODEL_REPOSITORY": str(repository),
            "GRPC_PORT": str(free_port()),
            "METRICS_PORT": str(free_port()),
            "STOP_TIMEOUT_S": "20",
        }
        self._prefix = f"upscale-{os.getpid()}-scripts-"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """As Kubernetes and Docker do, again after each end."""
        self.process = subprocess.Popen(
            [
                SCRIPTS / "serve.sh",
                f"--backend-directory={self._backends}",
                f"--backend-config=python,shm-region-prefix-name={self._prefix}",
                "--grpc-address=127.0.0.1",
                "--metrics-address=127.0.0.1",
            ],
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)
        # A container that ends takes its processes and its /dev/shm along.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for path in Path("/dev/shm").glob(f"{self._prefix}*"):  # noqa: S108
            path.unlink()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.variables['GRPC_PORT']}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.variables['METRICS_PORT']}/metrics"

    def stub(self, model: str) -> psutil.Process:
        """The process of a Python model."""
        [triton] = psutil.Process(self.process.pid).children()
        [found] = [c for c in triton.children() if f"/{model}/1/model.py" in " ".join(c.cmdline())]
        return found

    def wait_for_job(self) -> None:
        active = 'upscale_denoise_jobs{state="active"} 1'

        def is_active() -> bool:
            try:
                return active in httpx.get(self.metrics_url, trust_env=False).text
            except httpx.TransportError:  # it starts
                return False

        wait_until(is_active, 120)

    def drain(self, **variables: str) -> None:
        """What Kubernetes does before SIGTERM; fails when it takes very long."""
        subprocess.run(
            [SCRIPTS / "drain.sh"],
            env={**os.environ, "METRICS_URL": self.metrics_url, "QUIET_S": "3", **variables},
            check=True,
            timeout=120,
        )


@pytest.fixture(scope="module")
def started(
    repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started]:
    started = Started(repositories("narrow"), tmp_path_factory.mktemp("scripts"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def triton(started: Started) -> Started:
    """It runs: again, where a test before has ended it."""
    if started.process.poll() is not None:
        started.stop()
        started.start()
    return started


def has_started(client: InferenceServerClient) -> bool:
    try:
        return bool(client.is_server_ready())
    except InferenceServerException:  # it starts
        return False


def is_ready(gateway: Gateway) -> bool:
    return gateway.get("/readyz").status_code == 200


def test_triton_serves_and_its_other_apis_are_closed_and_it_drains(triton: Started) -> None:
    with Gateway(triton.url) as gateway, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: is_ready(gateway), 120)
        with InferenceServerClient(triton.url) as client:
            for call in (
                lambda: client.unload_model("unet"),
                client.get_cuda_shared_memory_status,
                client.get_trace_settings,
                client.get_log_settings,
            ):
                with pytest.raises(InferenceServerException, match=r"(?i)restricted"):
                    call()
        request = pool.submit(gateway.upscale, IMAGE, num_inference_steps=300)
        triton.wait_for_job()
        triton.drain()
        assert request.done(), "it waits for the request, all three calls of it"
        assert request.result()


def test_a_stage_that_dies_or_stands_still_ends_triton_and_pictures_come_again(
    triton: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERVED_FILE", str(tmp_path / "served"))
    with Gateway(triton.url, HEALTH_INTERVAL_S="0.5") as gateway, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: is_ready(gateway), 120)
        url, pid = f"{gateway.url}/readyz", str(triton.process.pid)
        check = [str(SCRIPTS / "check.sh"), url, pid]
        assert subprocess.run(check, check=False).returncode == 0
        triton.stub("denoise").kill()
        # Asked by nobody, and without its time to stop.
        assert triton.process.wait(60) == 1
        triton.stop()
        triton.start()
        wait_until(lambda: is_ready(gateway), 120)
        check[-1] = str(triton.process.pid)

        request = pool.submit(gateway.upscale, IMAGE, num_inference_steps=300)
        triton.wait_for_job()
        triton.stub("denoise").suspend()
        # Its number of jobs is frozen at 1.
        triton.drain(DRAIN_TIMEOUT_S="3")
        assert not request.done()
        wait_until(lambda: gateway.get("/readyz").json()["status"] == "ERROR", 120)
        alive = [str(SCRIPTS / "alive.sh"), url]
        assert subprocess.run(alive, check=False).returncode == 1
        assert subprocess.run(check, check=False).returncode == 1
        assert triton.process.wait(60) == 128 + signal.SIGKILL
        triton.stop()
        triton.start()
        assert request.result(), "the gateway asks again"
        wait_until(lambda: is_ready(gateway), 120)
        assert subprocess.run(alive, check=False).returncode == 0


def test_triton_ends_when_it_is_asked_to(triton: Started) -> None:
    with InferenceServerClient(triton.url) as client:
        wait_until(lambda: has_started(client), 120)
    triton.process.send_signal(signal.SIGTERM)
    assert triton.process.wait(60) == 0
    # Where nothing answers, nothing is to be waited for.
    triton.drain()


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_a_missing_repository_is_named(folder: str) -> None:
    result = subprocess.run(
        [SCRIPTS / "serve.sh"],
        env={**os.environ, "MODEL_REPOSITORY": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "MODEL_REPOSITORY" in result.stderr


@pytest.mark.parametrize("script", ["serve.sh", "export.sh"])
def test_arguments_are_handed_on(script: str, tmp_path: Path) -> None:
    """With a command that prints them in the place of tritonserver or python3."""
    repository = tmp_path / "x4 1"
    repository.mkdir()
    for name in ("tritonserver", "python3"):
        command = tmp_path / name
        command.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        command.chmod(0o755)
    path = SCRIPTS / script if script == "serve.sh" else DOCKER / script
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "MODEL_REPOSITORY": str(repository),
    }

    def arguments() -> list[str]:
        result = subprocess.run(
            [path, "--model", "a b"], env=variables, capture_output=True, text=True, check=True
        )
        return result.stdout.splitlines()

    if script == "export.sh":
        output = ["-m", "cli", "export", "--output", str(repository)]
        assert arguments() == [*output, "--model", "a b"]
        variables["REVISION"] = ""  # of a local folder
        assert arguments() == [*output, "--model", "a b"]
        variables["REVISION"] = "abc"
        assert arguments() == [*output, "--revision", "abc", "--model", "a b"]
        (repository / "manifest.json").touch()
        assert "nothing to do" in arguments()[0]
    else:
        (repository / "manifest.json").touch()
        given = arguments()
        assert given[-2:] == ["--model", "a b"]
        assert f"--model-repository={repository}" in given
        keys = {a.rsplit("=", 1)[1] for a in given + arguments() if "admin-key" in a}
        assert len(keys) == 2, "a new one at every start"
        assert all(len(key) == 32 for key in keys)


def test_of_exports_that_start_at_once_one_works(tmp_path: Path) -> None:
    """As the pods of a first install do, on one volume."""
    repository, count = tmp_path / "x4", tmp_path / "count"
    python = tmp_path / "python3"
    python.write_text(
        f"#!/bin/sh\necho x >> {count}\nsleep 0.5\n"
        f"mkdir {repository}\ntouch {repository}/manifest.json\n"
    )
    python.chmod(0o755)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL_REPOSITORY": str(repository)}
    exports = [subprocess.Popen([DOCKER / "export.sh"], env=variables) for _ in range(4)]
    assert [export.wait(30) for export in exports] == [0] * 4
    assert count.read_text() == "x\n"


class Answers(BaseHTTPRequestHandler):
    """A gateway that says what a test sets."""

    status = "LOADING"
    body = ""  # empty: the status as JSON

    def do_GET(self) -> None:
        body = (self.body or f'{{"status":"{self.status}"}}').encode()
        self.send_response(200 if self.status == "OK" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """Of Answers."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/readyz"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_url() -> Iterator[str]:
    """Where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}/readyz"


@pytest.mark.parametrize(
    ("status", "is_alive"), [("OK", True), ("LOADING", True), ("IDLE", True), ("ERROR", False)]
)
def test_only_a_triton_that_fails_is_not_alive(
    url: str, closed_url: str, monkeypatch: pytest.MonkeyPatch, status: str, is_alive: bool
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    result = subprocess.run([SCRIPTS / "alive.sh", url], check=False, timeout=30)
    assert (result.returncode == 0) is is_alive
    # A gateway that is away is none of Triton's fault.
    subprocess.run([SCRIPTS / "alive.sh", closed_url], check=True, timeout=30)


def test_draining_ends_whatever_the_numbers_say(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a stage that died stay as they were."""
    monkeypatch.setattr(Answers, "body", 'upscale_denoise_jobs{state="active"} 1\n')
    monkeypatch.setattr(Answers, "status", "OK")
    variables = {**os.environ, "METRICS_URL": url, "QUIET_S": "600", "DRAIN_TIMEOUT_S": "2"}
    subprocess.run([SCRIPTS / "drain.sh"], env=variables, check=True, timeout=60)
    # It counts the looks at which there was no job.
    monkeypatch.setattr(Answers, "body", 'upscale_denoise_jobs{state="active"} 0\n')
    variables |= {"QUIET_S": "1", "DRAIN_TIMEOUT_S": "600"}
    subprocess.run([SCRIPTS / "drain.sh"], env=variables, check=True, timeout=60)


def test_the_health_check_ends_a_triton_that_served_and_fails(
    url: str, closed_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVED_FILE", str(tmp_path / "served"))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def is_healthy(status: str, url: str = url) -> bool:
        monkeypatch.setattr(Answers, "status", status)
        command = [str(SCRIPTS / "check.sh"), url, str(process.pid)]
        return subprocess.run(command, check=False, timeout=30).returncode == 0

    try:
        assert not is_healthy("LOADING")
        assert not is_healthy("ERROR"), "it has not served yet, so it may still be loading"
        assert is_healthy("OK")
        assert not is_healthy("OK", closed_url)
        assert not is_healthy("LOADING"), "the gateway was started again"
        assert not is_healthy("IDLE"), "the gateway ends"
        time.sleep(0.1)
        assert process.poll() is None
        assert not is_healthy("ERROR")
        assert process.wait(10) == -signal.SIGQUIT, "SIGTERM waits for what will never end"
    finally:
        process.kill()
        process.wait()
