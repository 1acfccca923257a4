"""watch.py runs Triton: with a stand-in whose stubs are programs of the stub's name."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.deploy.dockerfile import DOCKER
from tests.server import wait_until

WATCH = DOCKER / "triton" / "watch.py"
STUB = "triton_python_backend_stub"
# Starts two stubs and, again and again, a shell that ends at once. It does not collect its
# stubs, unless it is told to.
SERVER = """#!{python}
import signal, subprocess, sys, time

def end(*_):
    print("asked to end", flush=True)
    {at_end}

signal.signal(signal.SIGTERM, end)
stubs = [subprocess.Popen(["{stub}", "600"]) for _ in range(2)]
while True:
    subprocess.run(["sh", "-c", "true"])
    print("a shell ended", flush=True)
    {look}
"""
# So that a test's kill is surely after a look of watch.py.
LOOKED_S = 2.0


@dataclass
class Run:
    """watch.py over the stand-in, and what both print."""

    process: subprocess.Popen[bytes]
    output: Path

    def triton(self) -> psutil.Process:
        [child] = psutil.Process(self.process.pid).children()
        return child

    def stubs(self) -> list[psutil.Process]:
        """Those whose program has been started."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.cmdline()[:1] == [str(self.output.parent / STUB)]:
                    found.append(child)
            except psutil.NoSuchProcess:  # one of the shells
                continue
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    shutil.copy2(str(shutil.which("sleep")), tmp_path / STUB)
    started: list[Run] = []

    def start(look: str = "", at_end: str = "[s.kill() for s in stubs]; sys.exit(7)") -> Run:
        command, output = tmp_path / "tritonserver", tmp_path / "output"
        command.write_text(
            SERVER.format(python=sys.executable, stub=tmp_path / STUB, look=look, at_end=at_end)
        )
        command.chmod(0o755)
        with output.open("wb") as file:
            run = Run(
                subprocess.Popen(
                    [sys.executable, WATCH, command],
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                ),
                output,
            )
        started.append(run)
        wait_until(lambda: len(run.stubs()) == 2, 30)
        return run

    yield start
    for run in started:
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


@pytest.mark.parametrize("look", ["", "[s.poll() for s in stubs]"], ids=["left", "collected"])
def test_a_stub_that_ends_takes_triton_along(start: Callable[..., Run], look: str) -> None:
    run = start(look)
    triton = run.triton()
    time.sleep(LOOKED_S if look else 0)
    run.stubs()[1].kill()
    assert run.process.wait(30) == 1
    assert not triton.is_running()
    assert "A stub of Triton has ended" in run.output.read_text()


def test_shells_that_end_are_no_stubs(start: Callable[..., Run]) -> None:
    run = start()
    wait_until(lambda: run.output.read_text().count("a shell ended") > 1000, 60)
    assert run.process.poll() is None


def test_sigterm_is_handed_on_and_stubs_may_end_then(start: Callable[..., Run]) -> None:
    run = start()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(30) == 7
    assert "A stub" not in run.output.read_text()


def test_sigquit_ends_at_once(start: Callable[..., Run]) -> None:
    run = start(at_end="pass")
    run.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "asked to end" in run.output.read_text(), 30)
    run.process.send_signal(signal.SIGQUIT)
    assert run.process.wait(30) == 128 + signal.SIGKILL


def test_its_own_end_is_tritons() -> None:
    command = [sys.executable, str(WATCH), "sh", "-c", "exit 3"]
    assert subprocess.run(command, check=False).returncode == 3
