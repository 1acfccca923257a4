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
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
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


@pytest.fixture
def triton(
    repositories: Callable[[str], Path], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """serve.sh, as the image's entry point starts it, and its environment."""
    wheel = Wheel.find()
    lay_out_backends(wheel, tmp_path / "backends")
    variables = environment(wheel)
    variables |= {
        "PATH": f"{wheel.server.parent}:{variables['PATH']}",
        "MODEL_REPOSITORY": str(repositories("narrow")),
        "GRPC_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
        "STOP_TIMEOUT_S": "20",
    }
    prefix = f"upscale-{os.getpid()}-scripts-"
    process = subprocess.Popen(
        [
            SCRIPTS / "serve.sh",
            f"--backend-directory={tmp_path / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
        ],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield process, variables
    process.terminate()
    process.wait(60)
    for path in Path("/dev/shm").glob(f"{prefix}*"):  # noqa: S108
        path.unlink()


def test_triton_serves_and_its_other_apis_are_closed_and_it_drains(
    triton: tuple[subprocess.Popen[bytes], dict[str, str]],
) -> None:
    process, variables = triton
    url = f"127.0.0.1:{variables['GRPC_PORT']}"
    metrics_url = f"http://127.0.0.1:{variables['METRICS_PORT']}/metrics"
    with Gateway(url) as gateway, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: gateway.get("/readyz").status_code == 200, 120)
        with InferenceServerClient(url) as client:
            for call in (
                lambda: client.unload_model("unet"),
                client.get_cuda_shared_memory_status,
                client.get_trace_settings,
                client.get_log_settings,
            ):
                with pytest.raises(InferenceServerException, match=r"(?i)restricted"):
                    call()
        request = pool.submit(gateway.upscale, IMAGE, num_inference_steps=300)
        active = 'upscale_denoise_jobs{state="active"} 1'
        wait_until(lambda: active in httpx.get(metrics_url, trust_env=False).text, 30)
        drain = {**os.environ, "METRICS_URL": metrics_url, "QUIET_S": "3"}
        subprocess.run([SCRIPTS / "drain.sh"], env=drain, check=True, timeout=120)
        assert request.done(), "it waits for the request, all three calls of it"
        assert request.result()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        # Where nothing answers, nothing is to be waited for.
        subprocess.run([SCRIPTS / "drain.sh"], env=drain, check=True, timeout=20)


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
        expected = ["-m", "cli", "export", "--output", str(repository), "--model", "a b"]
        assert arguments() == expected
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


class Answers(BaseHTTPRequestHandler):
    """A gateway that says what a test sets."""

    status = "LOADING"

    def do_GET(self) -> None:
        body = f'{{"status":"{self.status}"}}'.encode()
        self.send_response(200 if self.status == "OK" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_health_check_ends_a_triton_that_served_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVED_FILE", str(tmp_path / "served"))
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/readyz"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def is_healthy(status: str, url: str = url) -> bool:
        monkeypatch.setattr(Answers, "status", status)
        command = [str(SCRIPTS / "check.sh"), url, str(process.pid)]
        return subprocess.run(command, check=False, timeout=30).returncode == 0

    try:
        assert not is_healthy("LOADING")
        assert not is_healthy("ERROR"), "it has not served yet, so it may still be loading"
        assert is_healthy("OK")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            assert not is_healthy("OK", f"http://127.0.0.1:{nobody.getsockname()[1]}/readyz")
        assert not is_healthy("LOADING"), "the gateway was started again"
        assert not is_healthy("IDLE"), "the gateway ends"
        time.sleep(0.1)
        assert process.poll() is None
        assert not is_healthy("ERROR")
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()
