"""How many requests the server takes: places for all, turns for those that are worked on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from gateway.errors import InsufficientCapacity
from gateway.telemetry.durations import timed


class Capacity:
    """The one bound on waiting for the whole path; what is accepted is also served.

    max_in_progress: requests that Triton works on. max_waiting: requests that may wait for that.
    """

    def __init__(self, max_in_progress: int, max_waiting: int) -> None:
        self._places = max_in_progress + max_waiting
        self._turns = asyncio.Semaphore(max_in_progress)  # first come, first served
        self._queue: list[Callable[[int], None]] = []  # whom to tell, in the order of the turns
        self.taken = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._queue)

    def check(self) -> None:
        """Raises InsufficientCapacity while there is no place."""
        if self.taken >= self._places:
            raise InsufficientCapacity

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count a request from its first byte to its last. Raises InsufficientCapacity."""
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @asynccontextmanager
    async def turn(self, on_position: Callable[[int], None]) -> AsyncIterator[None]:
        """Wait, behind those who came before, until Triton has room.

        on_position: called with the place in the queue, from 1, whenever that changes.
        """
        with timed("wait"):
            if self._turns.locked():
                await self._wait(on_position)
            else:
                await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def _wait(self, on_position: Callable[[int], None]) -> None:
        self._queue.append(on_position)
        on_position(len(self._queue))
        try:
            await self._turns.acquire()
        finally:
            self._queue.remove(on_position)
            for position, tell in enumerate(self._queue, start=1):
                tell(position)
