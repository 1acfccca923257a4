"""The servers that benchmarks start."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.server import ROOT, Server, ServerError, is_healthy
from tests.server import wait_until

HEALTHY = "tests.benchmarks.healthy"


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerError, match="is no model repository"),
        Server(["cli", "serve", "--repository", str(tmp_path)]),
    ):
        pass


def test_it_is_healthy_within_the_block_and_gone_afterwards() -> None:
    with Server([HEALTHY]) as server:
        assert is_healthy(server.url)
        process = psutil.Process(server.pid)
    assert not process.is_running()
    assert not is_healthy(server.url)


def test_it_ends_with_a_benchmark_that_was_killed() -> None:
    code = (
        "import time; from benchmarks.server import Server\n"
        f"with Server(['{HEALTHY}']) as server: print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as benchmark:
        assert benchmark.stdout is not None
        server = psutil.Process(int(benchmark.stdout.readline()))
        benchmark.kill()
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, 30)
