"""What runs beside something else: in the background, or until something else happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
logger = logging.getLogger("gateway")


async def repeat(what: str, work: Callable[[], Awaitable[object]], interval_s: float) -> NoReturn:
    """Do work, and again interval_s seconds after it has ended, until cancelled.

    Whatever it raises is logged: a loop in the background that ends is missed by nobody, and what
    it was to keep true stays as it was. what: its name in the log.
    """
    while True:
        try:
            await work()
        except Exception as error:
            logger.error("%s failed and is tried again: %s", what, error, exc_info=error)
        await asyncio.sleep(interval_s)


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run work while the block runs; afterwards it is over."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run_until(work: Coroutine[Any, Any, T], end: Coroutine[Any, Any, NoReturn]) -> T:
    """Await work; cancel it when end raises first, and raise that. Afterwards both are over."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(end)
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            ending.result()
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
