"""Which of Triton's children are stubs, what they run, and how they end."""

import ctypes
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
from embedded.wheel import STUB
from tests.server import ROOT, wait_until

STAGES = ("encode", "denoise", "decode")
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
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
    log: str
    statuses: dict[str, int]  # of what was a stub, by its command; below 0: ended by that signal


def is_ready(triton: Triton) -> bool:
    assert triton.ended() is None
    try:
        with InferenceServerClient(triton.url) as client:
            return bool(client.is_server_ready())
    except InferenceServerException:
        return False


@contextmanager
def orphans_are_ours() -> Iterator[None]:
    """What our children leave behind becomes ours, so that its status can be read."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture(scope="module")
def run(repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With a repository whose own stages/ say when they are imported, and the checkout's beside."""
    folder = tmp_path_factory.mktemp("stubs")
    repository, log = folder / "repository", folder / "log"
    shutil.copytree(repositories("narrow"), repository)
    for name in STAGES:
        package = repository / name / "1" / "stages" / "__init__.py"
        package.write_text("import sys\nprint('these stages:', __file__, file=sys.stderr)\n")
    with pytest.MonkeyPatch.context() as environment, orphans_are_ours():
        environment.setenv("PYTHONPATH", str(ROOT))
        with Triton(repository, log) as triton:
            wait_until(lambda: is_ready(triton), 60)
            commands = {stub.pid: " ".join(stub.cmdline()) for stub in triton.stubs()}
        statuses = {
            command: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            for pid, command in commands.items()
        }
    return Run(repository, log.read_text(), statuses)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_the_stages_of_its_repository(run: Run, name: str) -> None:
    imported = [line for line in run.log.splitlines() if line.startswith("these stages:")]
    assert f"these stages: {run.repository}/{name}/1/stages/__init__.py" in imported
    assert len(set(imported)) == len(STAGES)


def test_every_stub_ends_by_itself(run: Run) -> None:
    assert len(run.statuses) >= len(STAGES)
    assert set(run.statuses.values()) == {0}, run.statuses
