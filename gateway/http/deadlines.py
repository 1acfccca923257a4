"""By when requests must be answered, also when the server is asked to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import RequestTimeout, Stopping


class Deadlines:
    """Those of all requests that are worked on. Times are of the event loop's clock, seconds."""

    def __init__(self) -> None:
        self._running: set[asyncio.Timeout] = set()
        self._last = float("inf")

    @property
    def are_ending(self) -> bool:
        """Whether the server was asked to end; it finishes what it has."""
        return self._last < float("inf")

    @asynccontextmanager
    async def until(self, deadline: float, timeout_s: float) -> AsyncIterator[None]:
        """Give up what runs within at a deadline, that of a request which may take timeout_s.

        Raises RequestTimeout, or Stopping where the server's end comes first.
        """
        try:
            async with asyncio.timeout_at(min(deadline, self._last)) as timeout:
                self._running.add(timeout)
                try:
                    yield
                finally:
                    self._running.discard(timeout)
        except TimeoutError as error:
            raise (Stopping() if self._last < deadline else RequestTimeout(timeout_s)) from error

    def end(self, within_s: float) -> None:
        """Let no request, one that comes later neither, take longer than so many seconds."""
        self._last = asyncio.get_running_loop().time() + within_s
        for timeout in self._running:
            when = timeout.when()
            if when is not None and when > self._last:
                timeout.reschedule(self._last)
