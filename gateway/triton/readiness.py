"""Whether a request would be served: shown by serving one, again and again."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import numpy as np

from gateway.errors import (
    BrokenPicture,
    InsufficientCapacity,
    NotReady,
    TritonFailed,
    TritonLost,
    TritonRefused,
    UnknownModel,
    UpscaleError,
)
from gateway.tasks import repeat
from gateway.triton.client import Decoding, Progress, TritonClient, UpscaleInputs
from gateway.triton.served_model import ServedModel

POLL_INTERVAL_S = 0.25
TRIAL_TIMEOUT_S = 60.0
STATISTICS_TIMEOUT_S = 2.0
LIVE_TIMEOUT_S = 5.0  # costs Triton no work, so it answers at once however busy it is
TRIAL_SIDE = 8  # pixels
# One tile, which is what engines work on: what they do once for a size is done before a request.
WARM_UP_SIDE, WARM_UP_TIMEOUT_S = 128, 600.0
# A trial that takes so much longer than the first one, beside requests than the warm-up, while no
# engine ends a call, has met a stage that is dead or stands still and gives no error. No call takes
# longer: it has at most eight tiles. denoise, which runs the UNet itself, tells a trial that
# waits for its turn of its rounds.
STALL_TIMEOUT_S, STALL_TIMEOUT_FACTOR = 4.0, 10.0
# Of all time, at most what trials take while nothing else is made. A trial of the full-size model
# keeps all cores busy for a second.
TRIALS_SHARE = 1 / 200
LOADING = "Triton loads the engines"  # and takes no calls until it has
logger = logging.getLogger("gateway")


class Readiness:
    """Ready from the first picture that Triton makes until one fails: 8 x 8 pixels in one step.

    Before the first time, and after it was lost, one of 128 x 128 warms the engines up. Triton's
    own calls stay 200 over a dead stage, so they prove nothing; but a Triton that does not answer
    them at all stands still. While requests succeed, nothing else is tried.

    interval_s: after which a trial is due where no request has succeeded since, seconds; twice as
    long after each that passes, as far as trials take more than TRIALS_SHARE of the time.
    ready: it is. lost: it was, and Triton has failed since. allowed: without it, ready has to wait.
    stage: what goes on before the first time, in words. last_model: of the last picture.
    """

    def __init__(self, triton: TritonClient, interval_s: float) -> None:
        self._triton = triton
        self._interval_s = interval_s
        self.last_model: ServedModel | None = None
        self._unusable: str | None = None  # why: it is not ours, or makes no pictures
        self._passed_at = float("-inf")
        self._requests = 0
        self._trial_s = 0.0  # that the last one took beside no request
        self._pause_s = interval_s  # until the next one
        self._idle_timeout_s = self._busy_timeout_s = TRIAL_TIMEOUT_S
        self._doubted = asyncio.Event()
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.stage = LOADING
        self._loss: type[TritonLost] = TritonLost
        self._refuses = False  # as when it was asked to stop
        self._is_stalled = False

    @property
    def model(self) -> ServedModel:
        """Raises NotReady while nothing is served."""
        if self.last_model is None or not self.ready.is_set():
            raise NotReady
        return self.last_model

    @property
    def status(self) -> str:
        """In ai-runner's words: LOADING, OK or ERROR."""
        if self.ready.is_set():
            return "OK"
        return "LOADING" if self.last_model is None and self._unusable is None else "ERROR"

    @property
    def fails(self) -> bool:
        """Triton is there and makes no pictures; one that loads, ends or is gone does not fail."""
        return self.status == "ERROR" and not self._refuses

    async def watch(self) -> None:
        """Keep it true; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                repeat("Trying Triton", self._make_due_trial_picture, POLL_INTERVAL_S)
            )
            group.create_task(
                repeat("Looking for Triton's signs of life", self._check_life, self._interval_s)
            )

    async def _make_due_trial_picture(self) -> None:
        """Wait until a trial is due, and lose Triton when that one and another fail."""
        await self.reach()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._doubted.wait()
        is_fresh = time.monotonic() - self._passed_at < self._pause_s
        if is_fresh and not self._doubted.is_set():
            return
        was_doubted = self._doubted.is_set()
        self._doubted.clear()
        if await self._make_trial_picture():
            longest_s = max(self._interval_s, self._trial_s / TRIALS_SHARE)
            self._pause_s = self._interval_s if was_doubted else min(2 * self._pause_s, longest_s)
            return
        self._pause_s = self._interval_s
        if not self._is_stalled:
            await asyncio.sleep(POLL_INTERVAL_S)
            if await self._make_trial_picture():
                return
        self.lose()

    async def _check_life(self) -> None:
        """Lose a Triton that says nothing at all; what fails otherwise is a trial's to find."""
        await self.ready.wait()
        try:
            async with asyncio.timeout(LIVE_TIMEOUT_S):
                await self._triton.live()
        except TimeoutError:
            logger.error("Triton stands still: no sign of life in %.1f s", LIVE_TIMEOUT_S)
            self.lose()
        except TritonFailed:
            pass

    async def reach(self) -> None:
        """Try until it works."""
        while not self.ready.is_set():
            if not await self._make_trial_picture():
                await asyncio.sleep(POLL_INTERVAL_S)

    @contextmanager
    def learn_from_request(self) -> Iterator[None]:
        """Learn from a request: a served one is as good as a trial, a failed one calls for one."""
        self._requests += 1
        try:
            yield
            self._passed_at = time.monotonic()
        except TritonFailed as error:
            self._refuses = self._refuses or isinstance(error, TritonRefused)
            self._doubted.set()
            raise
        finally:
            self._requests -= 1

    async def _make_trial_picture(self) -> bool:
        """False when Triton fails; a server too busy to answer is none that fails."""
        began = time.monotonic()
        is_idle, self._is_stalled = self._requests == 0, False
        timeout_s = self._idle_timeout_s if is_idle else self._busy_timeout_s
        executions = await self._executions()
        rounds: list[Progress | Decoding] = []
        try:
            async with asyncio.timeout(timeout_s):
                model = await self._triton.served_model()
                self.stage = "a first picture is tried"
                # our timeout ends it before its own
                await self._triton.upscale(trial_inputs(model), 2 * timeout_s, rounds.append)
            tried = time.monotonic()
            if is_idle:
                self._trial_s = tried - began
            if not self.ready.is_set():
                warm_up = trial_inputs(model, WARM_UP_SIDE)
                self.stage = "the engines are warmed up"
                async with asyncio.timeout(WARM_UP_TIMEOUT_S):
                    await self._triton.upscale(warm_up, 2 * WARM_UP_TIMEOUT_S)
        except TimeoutError:
            # Requests, another gateway's too, may keep this Triton busy: then it does not stand
            # still. One that came during an idle trial may be slower than that allows for.
            has_lasted = is_idle == (self._requests == 0)
            is_queued = bool(rounds) and rounds[-1] == Progress(0, 1, None)
            self._is_stalled = (
                has_lasted and not is_queued and await self._stands_still_since(executions)
            )
            if self._is_stalled and self.ready.is_set():
                logger.error("Triton stands still: no answer in %.1f s", timeout_s)
            return self.ready.is_set() and not self._is_stalled
        except InsufficientCapacity:
            return self.ready.is_set()
        except UpscaleError as error:
            self._refuses = isinstance(error, TritonRefused)
            self.stage = LOADING
            self._log_failure(error)
            return False
        warmed_up = time.monotonic()
        if not self.ready.is_set():
            self.stage = "the repository's files are checked"
            await self.allowed.wait()
            self._idle_timeout_s = stall_timeout_s(tried - began)
            self._busy_timeout_s = stall_timeout_s(warmed_up - tried)
        self.last_model, self._unusable = model, None
        self._passed_at = time.monotonic()
        self._refuses = False
        self.lost.clear()
        self.ready.set()
        return True

    def _log_failure(self, error: UpscaleError) -> None:
        """While Triton loads, failures are what is expected, but for a model that never serves."""
        if isinstance(error, (UnknownModel, BrokenPicture)):
            if str(error) != self._unusable:
                logger.error("%s", error)
            self._unusable = str(error)
        elif self.ready.is_set():
            logger.error("Triton fails: %s", error.__cause__)

    async def _stands_still_since(self, executions: int | None) -> bool:
        """Whether no engine has ended a call since there were so many; None: that is unknown."""
        return executions is not None and await self._executions() == executions

    async def _executions(self) -> int | None:
        """Batches of all models so far; None when Triton does not say."""
        try:
            async with asyncio.timeout(STATISTICS_TIMEOUT_S):
                return sum(model.executions for model in await self._triton.statistics())
        except (TritonFailed, TimeoutError):
            return None

    async def raise_when_lost(self) -> NoReturn:
        """Wait until Triton is lost. Raises TritonLost; TritonRefused where it takes no calls."""
        await self.lost.wait()
        raise self._loss

    def lose(self) -> None:
        """Triton serves no more, as far as is known."""
        if self.ready.is_set():
            self._loss = TritonRefused if self._refuses else TritonLost
            self.ready.clear()
            self.lost.set()
            self._doubted.set()


def stall_timeout_s(lasted_s: float) -> float:
    """How long a trial may take, where another took lasted_s, before Triton is looked at."""
    return STALL_TIMEOUT_S + STALL_TIMEOUT_FACTOR * lasted_s


def trial_inputs(model: ServedModel, side: int = TRIAL_SIDE) -> UpscaleInputs:
    """A request of one step that goes through every engine; side: pixels."""
    return UpscaleInputs(
        model=model,
        image=np.full((side, side, 3), 127, np.uint8),
        prompt="",
        negative_prompt="",
        seed=0,
        num_inference_steps=1,
        guidance_scale=model.guidance_scale,
        noise_level=model.noise_level,
        safety_check=model.has_safety_checker,
    )
