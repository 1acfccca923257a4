"""The Tritons behind one name: which there are, which serve, and which gets the next request."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

from gateway.errors import ModelChanged, NotReady, TritonFailed, TritonLost, TritonRefused
from gateway.tasks import repeat, run_until
from gateway.triton.client import (
    Decoding,
    ModelStatistics,
    OnProgress,
    Progress,
    TritonClient,
    Upscaled,
    UpscaleInputs,
)
from gateway.triton.readiness import LOADING, Readiness
from gateway.triton.served_model import DenoiseLimits, ServedModel
from stages.tiles import MAX_TILE

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
    asked again and again; without it, those that were added stay. waits_for: what goes on before
    the first Triton is known, in words.
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
        self._leaving: dict[str, PooledTriton] = {}  # with requests that they may finish
        self._watching: dict[str, asyncio.Task[None]] = {}  # of all these
        self._model_of_gone: ServedModel | None = None
        self.waits_for = LOADING

    @property
    def model(self) -> ServedModel:
        """The served one; while a Triton is replaced, that which was served.

        Raises NotReady before the first, and while a Triton fails and none serves.
        """
        for triton in self.ready():
            return triton.readiness.model
        known = [triton.readiness.last_model for triton in self._tritons.values()]
        model = next(filter(None, (*known, self._model_of_gone)), None)
        if model is None or any(triton.readiness.fails for triton in self._tritons.values()):
            raise NotReady
        return model

    @property
    def status(self) -> str:
        """In ai-runner's words: LOADING, OK or ERROR."""
        statuses = {triton.readiness.status for triton in self._tritons.values()}
        return next((status for status in ("OK", "ERROR") if status in statuses), "LOADING")

    @property
    def stage(self) -> str | None:
        """What goes on while the status is LOADING, in words; of the Triton that is farthest."""
        if self.status != "LOADING":
            return None
        stages = [triton.readiness.stage for triton in self._tritons.values()]
        return next((stage for stage in stages if stage != LOADING), self.waits_for)

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

        The same inputs make the same picture, on every Triton of their model. But a request may be
        what a Triton ends of, so no more than two may end of one; those that only refuse it do not
        count. deadline: of the event loop's clock. Raises what `TritonClient.upscale` does,
        NotReady where there was no Triton until the deadline, ModelChanged for another's inputs.
        """
        now = asyncio.get_running_loop().time
        ended, steps = 0, inputs.num_inference_steps
        tell = on_progress or (lambda _: None)

        def pass_on(progress: Progress | Decoding) -> None:
            nonlocal steps
            steps = progress.steps if isinstance(progress, Progress) else steps
            tell(progress)

        heard = on_progress and pass_on
        while True:
            triton = await self._next(inputs.model, deadline)
            try:
                return await triton.upscale(inputs, deadline - now(), heard, preview_every)
            except TritonLost as error:
                ended += not isinstance(error, TritonRefused)
                if ended == MAX_ENDED:
                    raise
            tell(Progress(0, steps, None))  # of all tiles, as it was told before

    @property
    def max_tile(self) -> int:
        """Latent pixels, the largest height and width that the served model takes in one piece.

        Known from the first picture on, as is that a Triton serves.
        """
        return next((triton.client.max_tile for triton in self.ready()), MAX_TILE)

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
        for triton in (*self._tritons.values(), *self._leaving.values()):
            await triton.client.close()

    async def _next(self, model: ServedModel, deadline: float) -> PooledTriton:
        """The one with the fewest requests in flight, and of equals that which rested longest."""
        now = asyncio.get_running_loop().time
        while not (ready := self.ready()):
            if now() + POLL_INTERVAL_S >= deadline:
                raise NotReady
            await asyncio.sleep(POLL_INTERVAL_S)
        fitting = [triton for triton in ready if triton.readiness.model == model]
        if not fitting:
            raise ModelChanged
        return min(fitting, key=lambda triton: (triton.in_flight, triton.last_turn))

    async def _refresh(self) -> None:
        if self._resolve is not None:
            self._follow(await self._resolve())  # where that fails, no Triton is taken away
        for address, triton in (self._tritons | self._leaving).items():
            if address not in self._watching:
                self._watching[address] = asyncio.create_task(triton.readiness.watch())
        await self._close_idle_leavers()

    def _follow(self, addresses: set[str]) -> None:
        for address in addresses - set(self._tritons):
            if address in self._leaving:
                self._tritons[address] = self._leaving.pop(address)
            else:
                self.add(address)
        for address in set(self._tritons) - addresses:
            triton = self._leaving[address] = self._tritons.pop(address)
            self._model_of_gone = triton.readiness.last_model or self._model_of_gone

    async def _close_idle_leavers(self) -> None:
        """Until then each is watched, so that its requests go on elsewhere where it is lost."""
        for address in [a for a, triton in self._leaving.items() if not triton.in_flight]:
            triton = self._leaving.pop(address)
            await _cancel(self._watching.pop(address))
            await triton.client.close()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
