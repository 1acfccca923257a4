"""Whether the kernel has ended processes because memory ran out."""

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many it has ended so, of this machine's containers too, since it was started.

    0 where it does not say. https://docs.kernel.org/admin-guide/mm/concepts.html#oom-killer
    """
    for line in VMSTAT.read_text().splitlines() if VMSTAT.is_file() else ():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0
