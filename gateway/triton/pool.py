"""The Tritons behind one name: which there are, which serve, and which gets the next request."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

from gateway.errors import ConnectionLost, NotReady, TritonFailed
from gateway.http.deadlines import Deadlines
from gateway.telemetry.metrics import ModelStatistics
from gateway.triton.client import OnProgress, ServedModel, TritonClient, Upscaled, UpscaleInputs
from gateway.triton.readiness import Readiness

RESOLVE_INTERVAL_S = 5.0
POLL_INTERVAL_S = 0.05
STATISTICS_TIMEOUT_S = 2.0
logger = logging.getLogger("gateway")

Resolve = Callable[[], Coroutine[Any, Any, set[str]]]
_turns = count(1)


class PooledTriton:
    """One Triton. A request stays with it for all three stages."""

    def __init__(self, address: str, client: TritonClient, health_interval_s: float) -> None:
        self.address = address
        self.client = client
        self.readiness = Readiness(client, health_interval_s)
        self.in_flight = 0
        self.used = 0  # the turn of its last request

    async def upscale(
        self,
        inputs: UpscaleInputs,
        timeout_s: float,
        on_progress: OnProgress | None,
        preview_every: int,
    ) -> Upscaled:
        """As `TritonClient.upscale`; the backend serves no more once its connection is lost."""
        self.in_flight, self.used = self.in_flight + 1, next(_turns)
        try:
            with self.readiness.request():
                return await self.client.upscale(inputs, timeout_s, on_progress, preview_every)
        except ConnectionLost:
            self.readiness.lose()
            raise
        finally:
            self.in_flight -= 1

    async def statistics(self) -> list[ModelStatistics]:
        """Of its models; none when it does not answer in time."""
        try:
            async with asyncio.timeout(STATISTICS_TIMEOUT_S):
                return await self.client.statistics()
        except (TritonFailed, TimeoutError):
            return []


class TritonPool:
    """Requests go to the backend with the fewest of ours in flight, of those that serve.

    connect: makes the client of an address, `host:port`. resolve: the addresses that there are now,
    asked again and again; without it, those that were added stay.
    """

    def __init__(
        self,
        connect: Callable[[str], TritonClient],
        health_interval_s: float,
        resolve: Resolve | None = None,
    ) -> None:
        self._connect = connect
        self._health_interval_s = health_interval_s
        self._resolve = resolve
        self._backends: dict[str, PooledTriton] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.deadlines = Deadlines()
        self.is_draining = False

    @property
    def model(self) -> ServedModel:
        """Raises NotReady while nothing is served."""
        for backend in self.ready():
            return backend.readiness.model
        raise NotReady

    @property
    def status(self) -> str:
        """In ai-runner's words: LOADING, OK or ERROR; IDLE while the last requests are finished."""
        if self.is_draining:
            return "IDLE"
        statuses = {backend.readiness.status for backend in self._backends.values()}
        return next((status for status in ("OK", "ERROR") if status in statuses), "LOADING")

    def drain(self, within_s: float) -> None:
        """Say IDLE from now on, and let no request take longer than so many seconds."""
        self.is_draining = True
        self.deadlines.end(within_s)

    def ready(self) -> list[PooledTriton]:
        """Those that serve."""
        return [b for b in self._backends.values() if b.readiness.ready.is_set()]

    def add(self, address: str) -> PooledTriton:
        """Know one more."""
        backend = PooledTriton(address, self._connect(address), self._health_interval_s)
        self._backends[address] = backend
        return backend

    async def upscale(
        self,
        inputs: UpscaleInputs,
        deadline: float,
        on_progress: OnProgress | None,
        preview_every: int,
    ) -> Upscaled:
        """Upscale on one of the backends; once more when the connection to it is lost.

        The same inputs make the same picture, on every backend. deadline: of the event loop's
        clock; what waits for a backend until then is the caller's to end. Raises what
        `TritonClient.upscale` does.
        """
        now = asyncio.get_running_loop().time
        backend = await self._next()
        try:
            return await backend.upscale(inputs, deadline - now(), on_progress, preview_every)
        except ConnectionLost:
            backend = await self._next()
            return await backend.upscale(inputs, deadline - now(), on_progress, preview_every)

    async def statistics(self) -> dict[str, list[ModelStatistics]]:
        """Of the models of every backend that serves, by address."""
        ready = self.ready()
        found = await asyncio.gather(*(backend.statistics() for backend in ready))
        return {backend.address: models for backend, models in zip(ready, found, strict=True)}

    async def watch(self) -> None:
        """Keep addresses and readiness true; runs until it is cancelled."""
        try:
            while True:
                await self._refresh()
                await asyncio.sleep(RESOLVE_INTERVAL_S)
        finally:
            await _cancelled(*self._watching.values(), *self._leaving)

    async def close(self) -> None:
        for backend in self._backends.values():
            await backend.client.close()

    async def _next(self) -> PooledTriton:
        """The one with the fewest requests in flight, and of equals that which rested longest."""
        while not (ready := self.ready()):
            await asyncio.sleep(POLL_INTERVAL_S)
        return min(ready, key=lambda backend: (backend.in_flight, backend.used))

    async def _refresh(self) -> None:
        if self._resolve is not None:
            try:
                addresses = await self._resolve()
            except OSError as error:  # a name server that is away takes no Triton away
                logger.error("Triton's addresses could not be looked up: %s", error)
                addresses = set(self._backends)
            for address in addresses - set(self._backends):
                self.add(address)
            for address in set(self._backends) - addresses:
                leaving = asyncio.create_task(self._leave(address))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
        for address in set(self._backends) - set(self._watching):
            watching = self._backends[address].readiness.watch()
            self._watching[address] = asyncio.create_task(watching)

    async def _leave(self, address: str) -> None:
        """Give it no more requests, and let those that it has finish."""
        backend = self._backends.pop(address)
        await _cancelled(self._watching.pop(address))
        while backend.in_flight:
            await asyncio.sleep(POLL_INTERVAL_S)
        await backend.client.close()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
