"""How much memory a process takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20


def resident(pid: int | str = "self", field: str = "VmRSS") -> int:
    """Bytes; VmHWM is the most since the process began or `bounded` did."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{field} is not in /proc/{pid}/status")


@contextmanager
def bounded(growth: int, pid: int | str = "self") -> Iterator[None]:
    """Fails when the process takes so many bytes more at any time inside."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak begins anew
    before = resident(pid)
    yield
    grown = resident(pid, "VmHWM") - before
    assert grown < growth, f"{grown / MIB:.0f} MiB more than the {before / MIB:.0f} MiB before"
