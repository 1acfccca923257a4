"""The Tritons behind one name: which there are, which serve, and which gets the next request."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

from gateway.errors import NotReady, TritonFailed, TritonLost, TritonRefused
from gateway.tasks import repeat, run_until
from gateway.triton.client import (
    DenoiseLimits,
    ModelStatistics,
    OnProgress,
    Progress,
    ServedModel,
    TritonClient,
    Upscaled,
    UpscaleInputs,
)
from gateway.triton.readiness import Readiness

RESOLVE_INTERVAL_S = 5.0
POLL_INTERVAL_S = 0.05
STATISTICS_TIMEOUT_S = 2.0
MAX_ENDED = 2  # Tritons that may have ended of one request

Resolve = Callable[[], Coroutine[Any, Any, set[str]]]
_turns = count(1)


class PooledTriton:
    """One Triton. A request stays with it for all three stages."""

    def __init__(self, address: str, client: TritonClient, health_interval_s: float) -> None:
        self.address = address
        self.client = client
        self.readiness = Readiness(client, health_interval_s)
        self.in_flight = 0
        self.last_turn = 0  # of its last request; higher is later

    async def upscale(
        self,
        inputs: UpscaleInputs,
        timeout_s: float,
        on_progress: OnProgress | None,
        preview_every: int,
    ) -> Upscaled:
        """As `TritonClient.upscale`. Raises TritonLost as soon as this Triton is known to be lost.

        A Triton whose stage has died answers that stage's requests never, and with no error.
        """
        self.in_flight, self.last_turn = self.in_flight + 1, next(_turns)
        work = self.client.upscale(inputs, timeout_s, on_progress, preview_every)
        try:
            with self.readiness.learn_from_request():
                return await run_until(work, self.readiness.raise_when_lost())
        except TritonLost:
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
    """A request goes to the Triton with the fewest of ours in flight, of those that serve.

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
        self._tritons: dict[str, PooledTriton] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._leaving: list[PooledTriton] = []  # with requests that they may finish

    @property
    def model(self) -> ServedModel:
        """Raises NotReady while nothing is served."""
        for triton in self.ready():
            return triton.readiness.model
        raise NotReady

    @property
    def status(self) -> str:
        """In ai-runner's words: LOADING, OK or ERROR."""
        statuses = {triton.readiness.status for triton in self._tritons.values()}
        return next((status for status in ("OK", "ERROR") if status in statuses), "LOADING")

    def ready(self) -> list[PooledTriton]:
        """Those that serve."""
        return [t for t in self._tritons.values() if t.readiness.ready.is_set()]

    def add(self, address: str) -> PooledTriton:
        """Know one more."""
        triton = PooledTriton(address, self._connect(address), self._health_interval_s)
        self._tritons[address] = triton
        return triton

    async def upscale(
        self,
        inputs: UpscaleInputs,
        deadline: float,
        on_progress: OnProgress | None,
        preview_every: int,
    ) -> Upscaled:
        """Upscale on one of the Tritons, and from the first step on another when that is lost.

        The same inputs make the same picture, on every Triton. But a request may be what a Triton
        ends of, so no more than two may end of one; those that only refuse it do not count.
        deadline: of the event loop's clock; what waits for a Triton until then is the caller's to
        end. Raises what `TritonClient.upscale` does.
        """
        now = asyncio.get_running_loop().time
        ended = 0
        while True:
            triton = await self._next()
            try:
                return await triton.upscale(inputs, deadline - now(), on_progress, preview_every)
            except TritonLost as error:
                ended += not isinstance(error, TritonRefused)
                if ended == MAX_ENDED:
                    raise
            if on_progress is not None:
                on_progress(Progress(0, inputs.num_inference_steps, None))

    async def denoise_limits(self) -> DenoiseLimits:
        """Of a Triton that serves; all have one repository. Raises NotReady or TritonFailed."""
        for triton in self.ready():
            return await triton.client.denoise_limits()
        raise NotReady

    async def statistics(self) -> dict[str, list[ModelStatistics]]:
        """Of the models of every Triton that serves, by address."""
        ready = self.ready()
        found = await asyncio.gather(*(triton.statistics() for triton in ready))
        return {triton.address: models for triton, models in zip(ready, found, strict=True)}

    async def watch(self) -> None:
        """Keep addresses and readiness true; runs until it is cancelled."""
        try:
            await repeat("Looking up Triton's addresses", self._refresh, RESOLVE_INTERVAL_S)
        finally:
            await _cancel(*self._watching.values())

    async def close(self) -> None:
        for triton in (*self._tritons.values(), *self._leaving):
            await triton.client.close()

    async def _next(self) -> PooledTriton:
        """The one with the fewest requests in flight, and of equals that which rested longest."""
        while not (ready := self.ready()):
            await asyncio.sleep(POLL_INTERVAL_S)
        return min(ready, key=lambda triton: (triton.in_flight, triton.last_turn))

    async def _refresh(self) -> None:
        await self._close_idle_leavers()
        if self._resolve is not None:
            addresses = await self._resolve()  # where that fails, no Triton is taken away
            for address in addresses - set(self._tritons):
                self.add(address)
            for address in set(self._tritons) - addresses:
                self._leaving.append(self._tritons.pop(address))
                await _cancel(*filter(None, [self._watching.pop(address, None)]))
        for address in set(self._tritons) - set(self._watching):
            watching = self._tritons[address].readiness.watch()
            self._watching[address] = asyncio.create_task(watching)

    async def _close_idle_leavers(self) -> None:
        for triton in [triton for triton in self._leaving if not triton.in_flight]:
            self._leaving.remove(triton)
            await triton.client.close()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
