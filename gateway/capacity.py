"""How many requests the server takes: places for all, turns for those that are worked on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from gateway.errors import InsufficientCapacity


class Capacity:
    """The one bound on waiting for the whole path; what is accepted is also served.

    max_in_progress: requests that Triton works on. max_waiting: requests that may wait for that.
    """

    def __init__(self, max_in_progress: int, max_waiting: int) -> None:
        self._places = max_in_progress + max_waiting
        self._turns = asyncio.Semaphore(max_in_progress)  # first come, first served
        self.taken = 0
        self.in_progress = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count a request from its first byte to its last. Raises InsufficientCapacity."""
        if self.taken >= self._places:
            raise InsufficientCapacity
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait, behind those who came before, until Triton has room."""
        async with self._turns:
            self.in_progress += 1
            try:
                yield
            finally:
                self.in_progress -= 1
