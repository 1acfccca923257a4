"""Which of Triton's children are stubs, what they run, and how they end."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from embedded.triton import Triton, has_ended
from embedded.wheel import STUB, Wheel, lay_out_backends
from tests.server import ROOT, wait_until

STAGES = ("encode", "denoise", "decode")
ENDED = "a stub has ended:"
# Starts what its arguments name, and collects nothing of it, as Triton does not.
PARENT = """
import subprocess, sys
children = [subprocess.Popen(command, shell=True) for command in sys.argv[1:]]
input()
"""


@contextmanager
def triton_with(children: list[str], folder: Path) -> Iterator[Triton]:
    """A Triton whose process is one with these commands as its children."""
    triton = Triton(folder, folder / "log")
    command = [sys.executable, "-c", PARENT, *children]
    triton._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield triton
    finally:
        os.killpg(triton._process.pid, signal.SIGKILL)
        triton._process.wait()
        assert triton._process.stdin is not None
        triton._process.stdin.close()


def copy_of(program: str, folder: Path) -> Path:
    """One under the name of the stub."""
    path = folder / program / STUB
    path.parent.mkdir()
    shutil.copy2(f"/bin/{program}", path)
    return path


def test_the_shells_that_triton_starts_are_no_stubs(tmp_path: Path) -> None:
    living, ended = copy_of("sleep", tmp_path), copy_of("true", tmp_path)
    commands = ["exit 0", "sleep 60; :", f"exec {living} 60", f"exec {ended}"]
    with triton_with(commands, tmp_path) as triton:
        wait_until(lambda: len(triton.stubs()) == 2, 10)
        wait_until(lambda: any(has_ended(stub) for stub in triton.stubs()), 10)
        stubs = triton.stubs()
        assert sorted(map(has_ended, stubs)) == [False, True], "also the one that has ended"


def test_a_server_that_has_ended_has_none(tmp_path: Path) -> None:
    with triton_with([f"exec {copy_of('sleep', tmp_path)} 60"], tmp_path) as triton:
        wait_until(triton.stubs, 10)
        assert triton._process is not None
        triton._process.kill()
        wait_until(lambda: triton.stubs() == [], 10)


@dataclass
class Run:
    """A Triton that was started, served and was stopped."""

    repository: Path
    log: list[str]
    stubs: int  # as it served
    ends: list[tuple[str, int]]  # of each, by what it ran: its status, 128 and more for a signal


def is_ready(triton: Triton) -> bool:
    assert triton.ended() is None
    try:
        with InferenceServerClient(triton.url) as client:
            return bool(client.is_server_ready())
    except InferenceServerException:
        return False


def lay_out_told_backends(wheel: Wheel, folder: Path) -> None:
    """With a stub that logs how the real one ends: Triton collects it and does not say."""
    lay_out_backends(wheel, folder)
    stub = folder / "python" / STUB
    stub.rename(stub.with_suffix(".real"))
    stub.write_text(f'#!/bin/sh\n"$0.real" "$@"\necho "{ENDED} $? $1" >&2\n')
    stub.chmod(0o755)


@pytest.fixture(scope="module")
def run(repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With a repository whose own stages/ say when they are imported, and the checkout's beside."""
    folder = tmp_path_factory.mktemp("stubs")
    repository, log = folder / "repository", folder / "log"
    shutil.copytree(repositories("narrow"), repository)
    for name in STAGES:
        package = repository / name / "1" / "stages" / "__init__.py"
        package.write_text("import sys\nprint('these stages:', __file__, file=sys.stderr)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setattr("embedded.triton.lay_out_backends", lay_out_told_backends)
        with Triton(repository, log) as triton:
            wait_until(lambda: is_ready(triton), 60)
            count = len(triton.stubs())
    lines = log.read_text().splitlines()
    ends = [line.removeprefix(ENDED).split() for line in lines if line.startswith(ENDED)]
    return Run(repository, lines, count, [(path, int(status)) for status, path in ends])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_the_stages_of_its_repository(run: Run, name: str) -> None:
    imported = {line for line in run.log if line.startswith("these stages:")}
    assert f"these stages: {run.repository}/{name}/1/stages/__init__.py" in imported
    assert len(imported) == len(STAGES)


def test_every_stub_ends_by_itself(run: Run) -> None:
    assert len(run.ends) == run.stubs > len(STAGES)
    assert [end for end in run.ends if end[1] != 0] == []
