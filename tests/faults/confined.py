"""Servers with a small disk of their own in the place of a folder, which nobody else sees."""

import os
from pathlib import Path

from tests.server import Gateway, Server

# In namespaces of its own, which need no root: what is mounted goes with the process.
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def with_disk(command: list[str], folder: Path, size: str) -> list[str]:
    """The command, to which a folder is an empty file system in memory; size: as 16m."""
    namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
    return [*namespaces, "sh", "-c", MOUNT, "sh", size, str(folder), *command]


class SmallDisk(Server):
    """What is started so that a folder is a small disk to it."""

    _disk: tuple[Path, str]

    def _command(self) -> list[str]:
        return with_disk(super()._command(), *self._disk)

    @property
    def disk(self) -> Path:
        """The folder as the server sees it."""
        return Path(f"/proc/{self.process.pid}/root") / self._disk[0].relative_to("/")


class Confined(SmallDisk):
    """`upscale serve`, to which a folder is a small disk."""

    def __init__(self, repository: Path, folder: Path, size: str, **environment: str) -> None:
        super().__init__(repository, **environment)
        self._disk = folder, size


class ConfinedGateway(SmallDisk, Gateway):
    """`upscale gateway`, to which a folder is a small disk."""

    def __init__(self, triton_url: str, folder: Path, size: str, **environment: str) -> None:
        Gateway.__init__(self, triton_url, **environment)
        self._disk = folder, size


def fill(folder: Path, leave: int = 0) -> Path:
    """Write a file that leaves so many bytes of the disk free."""
    path = folder / "fill"
    found = os.statvfs(folder)
    path.write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - leave)))
    return path
