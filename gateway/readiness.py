"""Whether a request would be served: shown by serving one."""

import asyncio

import numpy as np

from gateway.errors import NotReady, UpscaleError
from gateway.triton import ServedModel, TritonClient, UpscaleInputs

POLL_INTERVAL_S = 0.25
TRIAL_TIMEOUT_S = 60.0


class Readiness:
    """Becomes ready with the first picture that Triton makes: 8 x 8 pixels in one step.

    Triton's own ready calls stay 200 over a dead stage, so they are not asked.
    """

    def __init__(self, triton: TritonClient) -> None:
        self._triton = triton
        self._model: ServedModel | None = None
        self.reached = asyncio.Event()

    @property
    def model(self) -> ServedModel:
        """Raises NotReady before the first picture."""
        if self._model is None:
            raise NotReady
        return self._model

    async def reach(self) -> None:
        """Try until it works."""
        while not self.reached.is_set():
            try:
                model = await self._triton.served_model()
                await self._triton.upscale(trial(model), TRIAL_TIMEOUT_S)
            except UpscaleError:
                await asyncio.sleep(POLL_INTERVAL_S)
            else:
                self._model = model
                self.reached.set()


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
