"""`POST /upscale`: read the image, wait for a turn, three stages in Triton, write the result."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.security import HTTPBearer
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from gateway.http.capacity import Capacity
from gateway.http.deadlines import Deadlines
from gateway.http.disconnect import CLIENT_CLOSED_REQUEST, run_while_connected
from gateway.http.error_answers import ErrorAnswers
from gateway.images.read import read_image
from gateway.images.write import OutputFormat, check_size, write_image
from gateway.results.store import ResultStore
from gateway.routes.answer import UpscaleAnswer
from gateway.routes.events import MEDIA_TYPE, RequestEvents, event_response
from gateway.routes.form import UpscaleForm
from gateway.schemas import HTTPError, ImageResponse
from gateway.settings import Settings
from gateway.telemetry.durations import timed
from gateway.triton.client import UpscaleInputs
from gateway.triton.pool import TritonPool
from stages.limits import SCALE

# At a time: a file made for it keeps a decoder busy for a second and takes 100 MB.
READERS = 2

bearer = HTTPBearer(auto_error=False)


@dataclass(frozen=True)
class Upscaler:
    """Makes the pictures that are asked for, each by its deadline, a time of the event loop's."""

    settings: Settings
    pool: TritonPool
    capacity: Capacity
    deadlines: Deadlines
    results: ResultStore
    readers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(READERS, "read-image")
    )

    async def read_inputs(self, form: UpscaleForm, deadline: float) -> UpscaleInputs:
        """What the form asks for. Raises InvalidRequest, RequestTimeout or NotReady."""
        model = self.pool.model
        form.check_against(model, self.settings.max_prompt_chars)
        with timed("read_image"):
            content = await form.image.read()
            async with self.deadlines.until(deadline, self.settings.request_timeout_s):
                image = await self._read_image(content)
        check_size(SCALE * image.shape[0], SCALE * image.shape[1], form.output_format)
        return form.inputs(image, model)

    async def make_answer(
        self,
        inputs: UpscaleInputs,
        output_format: OutputFormat,
        deadline: float,
        base_url: str,
        events: RequestEvents | None = None,
    ) -> UpscaleAnswer:
        """The picture, published. events: of who watches. Raises what can go wrong on the way."""
        on_position = (lambda _: None) if events is None else events.add_queued
        on_progress = None if events is None else events.add_progress
        async with self.deadlines.until(deadline, self.settings.request_timeout_s):
            async with self.capacity.turn(on_position):
                upscaled = await self.pool.upscale(
                    inputs, deadline, on_progress, self.settings.preview_every
                )
            with timed("write_image"):
                content = await asyncio.to_thread(write_image, upscaled.image, output_format)
            with timed("publish"):
                url = await self.results.publish(content, output_format, base_url)
        return UpscaleAnswer(url, inputs.seed, upscaled.nsfw)

    async def _read_image(self, content: bytes) -> NDArray[np.uint8]:
        in_context = copy_context().run  # so that what it logs names the request
        return await asyncio.get_running_loop().run_in_executor(
            self.readers, in_context, read_image, content, self.settings.max_input_pixels
        )


def upscale_router(upscaler: Upscaler, error_answers: ErrorAnswers) -> APIRouter:
    """The route /upscale, exactly as the contract has it, with four optional fields more.

    The token is checked before the body is read; see `Entrance`. Who accepts text/event-stream gets
    news of the request as events.
    """
    router = APIRouter()

    @router.post(
        "/upscale",
        operation_id="genUpscale",
        summary="Upscale",
        description="Upscale an image by increasing its resolution.",
        tags=["generate"],
        response_model=ImageResponse,
        responses={
            200: {"content": {MEDIA_TYPE: {}}},
            **{status: {"model": HTTPError} for status in error_answers.statuses()},
        },
        dependencies=[Depends(bearer)],  # for the served document
    )
    @router.post("/upscale/", include_in_schema=False)
    async def upscale(
        request: Request,
        form: Annotated[UpscaleForm, Form(media_type="multipart/form-data")],
    ) -> Response:
        deadline, base_url = request.state.deadline, str(request.base_url)
        inputs = await upscaler.read_inputs(form, deadline)
        make_answer = partial(upscaler.make_answer, inputs, form.output_format, deadline, base_url)
        if MEDIA_TYPE in request.headers.get("accept", ""):
            return event_response(make_answer, error_answers)
        try:
            answer = await run_while_connected(request, make_answer())
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return answer.response()

    return router
