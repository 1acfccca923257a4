"""When a request is sent again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from client.answer import Waiting
from client.errors import Busy, ConnectionLost

T = TypeVar("T")


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    retries: int,
    is_repeatable: bool,
    show: Callable[[Waiting], None],
) -> T:
    """Await attempt until it succeeds, fails, or has been told `retries` times that it is busy.

    Each wait is as long as the server asks. A lost connection is tried once more, at once, and only
    if that would give the same picture: the server may have made the lost one.
    """
    while True:
        try:
            return await attempt()
        except Busy as error:
            if retries == 0:
                raise
            retries -= 1
            show(Waiting(seconds=error.retry_after_s))
            await asyncio.sleep(error.retry_after_s)
        except ConnectionLost:
            if not is_repeatable:
                raise
            is_repeatable = False
