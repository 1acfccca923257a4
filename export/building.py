"""The folder in which something is built, and that is renamed when it is whole."""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from export.errors import ExportError

# Held locked by whoever builds; the kernel lets go of it when that process is gone, whatever ended
# it, and a process in another container cannot take it meanwhile.
LOCK = ".upscale-building"
ENDING = (signal.SIGTERM, signal.SIGHUP)
FULL_BYTES = 2**20


@contextlib.contextmanager
def building(output: Path) -> Iterator[Path]:
    """A new folder beside `output`, which must not exist: it takes that name, or nothing stays.

    Nothing stays after SIGTERM and SIGHUP either; what a killed process left is removed when the
    next one builds in the same place. Raises ExportError when the disk is full.
    """
    refuse_existing(output)
    with ending_by_exception():
        output.parent.mkdir(parents=True, exist_ok=True)
        sweep(output.parent)
        outer = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
        try:
            with (outer / "unlocked").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                (outer / "unlocked").rename(outer / LOCK)  # seen by others locked only
                inner = outer / output.name
                inner.mkdir()
                inner.chmod(0o755)  # it is served by another user, whatever the umask here
                yield inner
                inner.rename(output)
        except Exception as error:
            if isinstance(error, ExportError) or not is_full(output.parent, error):
                raise
            raise ExportError(
                f"The disk of {output.parent} is full. Make room there, or name another --output;"
                " nothing of it was kept."
            ) from error
        finally:
            shutil.rmtree(outer, ignore_errors=True)


def refuse_existing(output: Path) -> None:
    """Raise ExportError when there is something already."""
    if output.exists():
        raise ExportError(f"{output} exists already; remove it or name another --output.")


def is_full(folder: Path, error: Exception) -> bool:
    """Whether an error comes of a full disk: it says so, or next to nothing is free."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return shutil.disk_usage(folder).free < FULL_BYTES  # compilers have errors of their own


def sweep(parent: Path) -> None:
    """Remove what processes of this user that are gone were building in a folder."""
    for lock_path in parent.glob(f".*/{LOCK}"):
        # Locked by who builds; not there any more where that ended a moment ago.
        with (
            contextlib.suppress(BlockingIOError, FileNotFoundError),
            lock_path.open("r+") as lock,
        ):
            if os.fstat(lock.fileno()).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_path.parent)


@contextlib.contextmanager
def ending_by_exception() -> Iterator[None]:
    """Signals that end a process do so by an exception, so that what it began is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can say what a signal does
        return
    before = {number: signal.signal(number, _end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> NoReturn:
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)  # a second one must not end the cleaning up
    raise SystemExit(128 + number)
