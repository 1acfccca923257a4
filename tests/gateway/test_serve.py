"""`upscale gateway` as an operator runs it: before a Triton that somebody else runs."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedded.triton import free_port
from gateway.serve import bind
from tests.photographs import file_of, photograph
from tests.server import ROOT, Gateway, Server, wait_until

LOADING = {"status": "LOADING", "stage": "Triton loads the engines"}
IMAGE = file_of(photograph("rocket", 16, 16))


def test_without_triton_it_lives_and_is_not_ready() -> None:
    with Gateway(f"127.0.0.1:{free_port()}") as gateway:
        assert gateway.get("/livez").status_code == 200
        ready = gateway.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, LOADING)
        assert gateway.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_what_triton_serves_and_finishes_what_is_in_flight(
    server: Server, number: int
) -> None:
    fields = {"num_inference_steps": 200, "seed": 1}
    with Gateway(server.triton_url) as gateway, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: gateway.get("/readyz").status_code == 200, 30)
        request = pool.submit(gateway.upscale, IMAGE, **fields)
        wait_until(lambda: gateway.gateway_metric("upscale_in_progress") == 1, 20)
        assert gateway.stop(number) == 0
        assert any("Upscaling at" in line for line in gateway.output)
        assert request.result() == server.upscale(IMAGE, **fields)


def test_a_url_that_is_none_is_named() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cli", "gateway"],
        cwd=ROOT,
        env={**os.environ, "TRITON_URL": "http://triton"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "TRITON_URL='http://triton'" in result.stderr


def test_the_listener_names_its_protocol() -> None:
    """Without it, asyncio leaves Nagle's algorithm on and small answers wait for 40 ms."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
