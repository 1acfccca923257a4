"""Run Triton and end it when one of its stubs ends: watch.py COMMAND [ARGUMENT ...].

Triton says ready over a dead stage and starts no stub, the process of a Python model, again; who
waits for that stage waits for ever. So all of it ends at once, and Kubernetes or Docker starts the
container again.

SIGTERM and SIGINT are handed on: Triton finishes what it works on. SIGQUIT ends it at once, for one
that stands still and would take its whole time to end.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

INTERVAL_S = 0.5
STUB = "triton_python_backend_stub"[:15]  # as much of a name as the kernel keeps
PROC = Path("/proc")


def stubs(triton: int) -> tuple[set[int], set[int]]:
    """The process ids of Triton's stubs: of those that live and of those that have ended.

    Triton does not collect its stubs, so the kernel keeps one that has ended, as a zombie. Other
    children of Triton do not count: it starts shells that live for some milliseconds.
    """
    living: set[int] = set()
    ended: set[int] = set()
    for path in PROC.glob("[0-9]*/stat"):
        try:
            text = path.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it ended between the two looks
            continue
        head, _, tail = text.rpartition(")")
        name, (state, parent) = head.partition("(")[2], tail.split()[:2]
        if name == STUB and int(parent) == triton:
            (ended if state in "ZX" else living).add(int(path.parent.name))
    return living, ended


def watch(triton: "subprocess.Popen[bytes]") -> int:
    """Triton's exit status, or 1 once a stub of it has ended."""
    stops: list[int] = []

    def hand_on(number: int, _: object) -> None:
        stops.append(number)
        triton.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    signal.signal(signal.SIGQUIT, lambda *_: triton.kill())
    seen: set[int] = set()
    while triton.poll() is None:
        living, ended = stubs(triton.pid)
        if not stops and (ended or seen - living):
            sys.stderr.write("A stub of Triton has ended; ending Triton.\n")
            triton.kill()
            triton.wait()
            return 1
        seen = living
        time.sleep(INTERVAL_S)
    # As a shell tells of a signal.
    return triton.returncode if triton.returncode >= 0 else 128 - triton.returncode


if __name__ == "__main__":
    sys.exit(watch(subprocess.Popen(sys.argv[1:])))
