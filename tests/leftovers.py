"""What the tests' servers have left running or lying about: nothing, when the tests are done."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

# In the environment of all that this process starts, and of what that starts in its turn.
MARK = "UPSCALE_TESTS_OF"
# Of libraries in this process: they end with it.
HELPERS = ("multiprocessing.resource_tracker", "torch/_inductor/compile_worker")
FOLDERS = (Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108


def mark() -> None:
    """From here on everything that is started can be told from what others run."""
    os.environ[MARK] = str(os.getpid())


def processes() -> Iterator[str]:
    """The commands of ours that still run, orphans included."""
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get(MARK) == str(os.getpid())
            is_running = process.status() != psutil.STATUS_ZOMBIE
            command = " ".join(process.cmdline())
        except psutil.Error:  # it has ended, or is somebody else's
            continue
        if is_ours and is_running and not any(map(command.count, HELPERS)):
            yield f"{process.pid}: {command}"


def files(pid: int) -> list[Path]:
    """Shared memory and temporary folders of the servers that a process has started."""
    return [path for folder in FOLDERS for path in folder.glob(f"upscale-{pid}-*")]


def remove_files(pid: int) -> None:
    """Those of a process that was killed."""
    for path in files(pid):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_environments(since: float) -> None:
    """Folders of Triton's Python backend for environments that no model here has.

    They are always empty, have no name to tell whose they are and stay behind when Triton is
    killed. since: only those that are younger, seconds of the clock.
    """
    for folder in Path(tempfile.gettempdir()).glob("python_env_*"):
        if folder.stat().st_mtime >= since and not any(folder.iterdir()):
            folder.rmdir()
