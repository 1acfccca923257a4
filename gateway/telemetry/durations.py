"""How long the parts of a request take, gathered wherever they happen, each a span of its trace."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.trace import StatusCode

tracer = trace.get_tracer("gateway")
_durations: ContextVar[dict[str, float] | None] = ContextVar("durations", default=None)
_watched: ContextVar[tuple[str, Callable[[], None]] | None] = ContextVar("watched", default=None)


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
    """Time what is inside; outside of a request, as in a trial for /health, nothing is kept.

    The span of a part that fails has the name of the error, not its words: they may be a caller's.
    """
    durations = _durations.get()
    if durations is None:
        yield
        return
    began = time.perf_counter()
    with tracer.start_as_current_span(
        part, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
            if (watched := _watched.get()) is not None and watched[0] == part:
                watched[1]()
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            durations[part] = durations.get(part, 0.0) + time.perf_counter() - began


@contextmanager
def when_timed(part: str, done: Callable[[], None]) -> Iterator[None]:
    """Call `done` whenever a part has ended inside, unless by an error."""
    token = _watched.set((part, done))
    try:
        yield
    finally:
        _watched.reset(token)
