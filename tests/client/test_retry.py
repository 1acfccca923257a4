import asyncio
import time

import pytest

from client.answer import Waiting
from client.errors import Busy, ConnectionLost, ImageFailed
from client.retry import with_retries

BUSY = Busy("full", 0.01)
LOST = ConnectionLost("broken")


def tried(
    outcomes: list[Exception | str], retries: int = 5, is_repeatable: bool = True
) -> tuple[str, list[float]]:
    """What comes of attempts with these outcomes, and the waits that were shown."""
    waits: list[float] = []
    left = iter(outcomes)

    async def attempt() -> str:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def show(waiting: Waiting) -> None:
        waits.append(waiting.seconds)

    return asyncio.run(with_retries(attempt, retries, is_repeatable, show)), waits


def test_it_waits_as_long_as_the_server_asks() -> None:
    begin = time.monotonic()
    assert tried([BUSY, BUSY, "done"]) == ("done", [0.01, 0.01])
    assert time.monotonic() - begin >= 0.02


def test_retries_are_counted() -> None:
    assert tried([BUSY, BUSY, "done"], retries=2)[0] == "done"
    with pytest.raises(Busy):
        tried([BUSY, BUSY, "done"], retries=1)


def test_a_lost_connection_is_tried_once_more() -> None:
    assert tried([LOST, "done"], retries=0) == ("done", [])
    with pytest.raises(ConnectionLost):
        tried([LOST, LOST, "done"])


def test_a_lost_connection_without_a_seed_is_final() -> None:
    with pytest.raises(ConnectionLost):
        tried([LOST, "done"], is_repeatable=False)


def test_other_failures_are_final() -> None:
    with pytest.raises(ImageFailed, match="bad image"):
        tried([ImageFailed("bad image"), "done"])
