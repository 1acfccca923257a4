"""Whether there is room for what is about to be written."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.filesize import decimal

from export.errors import ExportError


def refuse_too_little_room(needs: Sequence[tuple[Path, int, str]]) -> None:
    """Raise ExportError when a disk has too little room.

    needs: a folder, which need not exist yet, how many bytes go there, and how it is changed.
    """
    by_disk: dict[int, list[tuple[Path, int, str]]] = defaultdict(list)
    for folder, size, option in needs:
        there = existing(folder)
        by_disk[there.stat().st_dev].append((there, size, option))
    for on_disk in by_disk.values():
        folder = on_disk[0][0]
        wanted, free = sum(size for _, size, _ in on_disk), shutil.disk_usage(folder).free
        if wanted > free:
            options = " or ".join(option for _, size, option in on_disk if size)
            raise ExportError(
                f"About {decimal(wanted)} will be written to the disk of {folder}, which has"
                f" {decimal(free)} free. Make room there, or name another place by {options}."
            )


def existing(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
