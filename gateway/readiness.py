"""Whether a request would be served: shown by serving one, again and again."""

import asyncio
import logging
import time
from contextlib import suppress

import numpy as np

from gateway.errors import InsufficientCapacity, NotReady, RequestTimeout, UpscaleError
from gateway.triton import ServedModel, TritonClient, UpscaleInputs

POLL_INTERVAL_S = 0.25
TRIAL_INTERVAL_S = 5.0
TRIAL_TIMEOUT_S = 60.0
logger = logging.getLogger("gateway")


class Readiness:
    """Ready from the first picture that Triton makes until one fails: 8 x 8 pixels in one step.

    Triton's own ready calls stay 200 over a dead stage, so they are not asked. While requests
    succeed, nothing else is tried.

    ready: it is. lost: it was, and Triton has failed since.
    """

    def __init__(self, triton: TritonClient) -> None:
        self._triton = triton
        self._model: ServedModel | None = None
        self._passed_at = float("-inf")
        self._doubted = asyncio.Event()
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()
        self.is_draining = False

    @property
    def model(self) -> ServedModel:
        """Raises NotReady while nothing is served."""
        if self._model is None or not self.ready.is_set():
            raise NotReady
        return self._model

    @property
    def status(self) -> str:
        """In ai-runner's words: LOADING, OK or ERROR; IDLE while the last requests are finished."""
        if self.is_draining:
            return "IDLE"
        if self.ready.is_set():
            return "OK"
        return "LOADING" if self._model is None else "ERROR"

    async def watch(self) -> None:
        """Keep it true; runs until it is cancelled."""
        while True:
            await self.reach()
            with suppress(TimeoutError):
                async with asyncio.timeout(TRIAL_INTERVAL_S):
                    await self._doubted.wait()
            is_fresh = time.monotonic() - self._passed_at < TRIAL_INTERVAL_S
            if is_fresh and not self._doubted.is_set():
                continue
            self._doubted.clear()
            if not await self._try() and not await self._try_again():
                self.lose()

    async def reach(self) -> None:
        """Try until it works."""
        while not self.ready.is_set():
            if not await self._try():
                await asyncio.sleep(POLL_INTERVAL_S)

    def passed(self) -> None:
        """A request has been served."""
        self._passed_at = time.monotonic()

    def doubt(self) -> None:
        """A request has failed: look at once."""
        self._doubted.set()

    async def regain(self) -> None:
        """The connection to Triton broke: wait until it works again."""
        self.lose()
        await self.ready.wait()

    async def _try(self) -> bool:
        """False when Triton fails; a server too busy to answer is none that fails."""
        try:
            async with asyncio.timeout(TRIAL_TIMEOUT_S):
                model = await self._triton.served_model()
                await self._triton.upscale(trial(model), TRIAL_TIMEOUT_S)
        except (TimeoutError, InsufficientCapacity, RequestTimeout):
            return self.ready.is_set()
        except UpscaleError as error:
            if self.ready.is_set():
                logger.error("Triton fails: %s", error.__cause__)
            return False
        self._model = model
        self.passed()
        self.lost.clear()
        self.ready.set()
        return True

    async def _try_again(self) -> bool:
        await asyncio.sleep(POLL_INTERVAL_S)
        return await self._try()

    def lose(self) -> None:
        """Triton serves no more, as far as is known."""
        if self.ready.is_set():
            self.ready.clear()
            self.lost.set()
            self._doubted.set()


def trial(model: ServedModel) -> UpscaleInputs:
    """The smallest request that goes through every engine."""
    return UpscaleInputs(
        image=np.full((8, 8, 3), 127, np.uint8),
        prompt="",
        negative_prompt="",
        seed=0,
        num_inference_steps=1,
        guidance_scale=model.guidance_scale,
        noise_level=model.noise_level,
        safety_check=model.has_safety_checker,
    )
