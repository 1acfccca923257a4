"""What a server leaves in /dev/shm and the temporary folder when it is killed."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
NAME = re.compile(r"upscale-(\d+)-[0-9a-f]{8}-")  # what `new_prefix` makes


def new_prefix() -> str:
    """How the names of all begin that one server makes there.

    Unique, so that two servers never meet; with our process id, so that what a killed one left can
    be told from what a living one uses.
    """
    return f"upscale-{os.getpid()}-{secrets.token_hex(4)}-"


def remove_by_prefix(prefix: str) -> None:
    """Remove what a server made. Raises ValueError for a prefix that `new_prefix` does not make."""
    if not NAME.fullmatch(prefix):
        raise ValueError(f"{prefix!r} is not the prefix of a server.")
    for path in _ours():
        if path.name.startswith(prefix):
            _remove(path)


def remove_leftovers() -> None:
    """Remove what servers of this user left whose starting process is gone."""
    for path in _ours():
        pid = NAME.match(path.name)
        if pid and not Path("/proc", pid[1]).exists():
            _remove(path)


def _ours() -> list[Path]:
    """What is named as a server names it and belongs to this user."""
    folders = (SHARED_MEMORY, Path(tempfile.gettempdir()))
    named = [path for folder in folders for path in folder.iterdir() if NAME.match(path.name)]
    return [path for path in named if _owner(path) == os.getuid()]


def _owner(path: Path) -> int | None:
    """The user's id; None for what is gone by now."""
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        while path.exists():  # another server that starts now may be removing it too
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
