"""How long the parts of a request take, gathered wherever they happen."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_durations: ContextVar[dict[str, float] | None] = ContextVar("durations", default=None)


@contextmanager
def gathered() -> Iterator[dict[str, float]]:
    """The seconds of every part that is timed inside, by its name; tasks that it starts included.

    A part that comes twice, as after a retry, is added up.
    """
    durations: dict[str, float] = {}
    token = _durations.set(durations)
    try:
        yield durations
    finally:
        _durations.reset(token)


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Time what is inside; outside of a request, as in a trial for /health, it is not kept."""
    began = time.perf_counter()
    try:
        yield
    finally:
        durations = _durations.get()
        if durations is not None:
            durations[part] = durations.get(part, 0.0) + time.perf_counter() - began
