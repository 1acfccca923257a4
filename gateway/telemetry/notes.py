"""What the log's line of a request says of it besides, noted wherever it becomes known."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_CHARS = 300

_notes: ContextVar[dict[str, str | int] | None] = ContextVar("notes", default=None)


@contextmanager
def noted() -> Iterator[dict[str, str | int]]:
    """All that is noted inside, by its name; tasks that it starts included."""
    notes: dict[str, str | int] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(**values: str | int) -> None:
    """Note for the line; outside of a request, nothing is kept."""
    notes = _notes.get()
    if notes is not None:
        notes.update({name: _short(value) for name, value in values.items()})


def _short(value: str | int) -> str | int:
    """What a caller has sent may be long, and a terminal obeys what is not printable."""
    if isinstance(value, int):
        return value
    text = value[:MAX_CHARS]
    return text if text.isprintable() else ascii(text)
