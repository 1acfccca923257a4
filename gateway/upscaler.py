"""The way of one picture: read the file, wait for a turn, three stages in Triton, write a file."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TypeVar

from fastapi import UploadFile

from gateway.errors import BrokenPicture
from gateway.estimate.fit import fitted
from gateway.estimate.pace import Pace
from gateway.estimate.refusal import check_duration
from gateway.estimate.work import Work
from gateway.http.capacity import Capacity
from gateway.http.deadlines import Deadlines
from gateway.images.color_fix import with_colors_of
from gateway.images.output import Output, seen
from gateway.images.read import read_picture
from gateway.images.write import OutputFormat, check_size
from gateway.results.store import ResultStore
from gateway.routes.answer import FileAnswer, UpscaleAnswer
from gateway.routes.base64_image import decode_image
from gateway.routes.defaults import work_of
from gateway.routes.events import RequestEvents
from gateway.routes.form import (
    UpscaleFields,
    UpscaleForm,
    UpscaleJson,
    form_of_json,
)
from gateway.settings import Settings
from gateway.telemetry.durations import timed, when_timed
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.notes import note
from gateway.triton.client import OnProgress, Upscaled, UpscaleInputs
from gateway.triton.pool import TritonPool
from gateway.triton.served_model import ServedModel
from stages.limits import SCALE
from stages.soundness import distance

# At a time: a file made for it keeps a decoder busy for a second and takes 100 MB.
READERS = 2
SPOOLED_BYTES = 2**20  # of a body of JSON in memory, as of a form's file; the rest goes to a disk

T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """A picture's file and what is said of it. distance: from its image, 0 to 255 levels."""

    content: bytes
    nsfw: bool
    distance: float


@dataclass(frozen=True)
class Upscaler:
    """Makes the pictures that are asked for, each by its deadline, a time of the event loop's."""

    settings: Settings
    pool: TritonPool
    capacity: Capacity
    deadlines: Deadlines
    results: ResultStore
    pace: Pace
    metrics: Metrics
    readers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(READERS, "read-image")
    )

    async def read_json(self, body: AsyncIterator[bytes]) -> UpscaleJson:
        """The fields of a body. Raises InvalidRequest or RequestValidationError."""
        async with _spooled(body) as file:
            content = await file.read()
        return await self._in_reader(form_of_json, content, self.settings.max_prompt_chars)

    async def read_inputs(
        self, form: UpscaleForm | UpscaleJson, output_format: OutputFormat, deadline: float
    ) -> tuple[UpscaleInputs, Output]:
        """What the form asks for, and how it leaves.

        Raises InvalidRequest, RequestTimeout, NotReady, and for `fit` TritonFailed.
        """
        note(steps=form.num_inference_steps)
        model = self.pool.model
        form.check_against(model, self.settings.max_prompt_chars, self.settings.safety_check)
        with timed("read_image"):
            async with self.deadlines.until(deadline, self.settings.request_timeout_s):
                content = await self._content(form)
                max_pixels, fit = await self._limits(form, output_format, model)
                picture = await self._in_reader(read_picture, content, max_pixels, fit)
                image, alpha = await self._in_reader(
                    seen, picture, output_format, form.background_colour
                )
        height, width = image.shape[:2]
        note(width=width, height=height)
        check_size(SCALE * height, SCALE * width, output_format)
        output = Output(output_format, *form.result_size(width, height), alpha)
        return form.inputs(image, model, self.settings.step_cache), output

    async def _limits(
        self, form: UpscaleFields, output_format: OutputFormat, model: ServedModel
    ) -> tuple[int, Callable[[int, int], tuple[int, int]] | None]:
        """The most pixels that a file may have, and what they are reduced to, if asked."""
        if not form.fit:
            return self.settings.max_input_pixels, None
        limits = await self.pool.denoise_limits()
        max_tile, step_cache = self.pool.max_tile, self.settings.step_cache

        def fit(width: int, height: int) -> tuple[int, int]:
            work = work_of(form, width, height, model, max_tile, step_cache)
            return fitted(work, output_format, self.settings, limits)

        return max(self.settings.max_fit_pixels, self.settings.max_input_pixels), fit

    async def make_answer(
        self,
        inputs: UpscaleInputs,
        output: Output,
        deadline: float,
        base_url: str,
        events: RequestEvents | None = None,
    ) -> UpscaleAnswer:
        """The picture, published. events: of who watches. Raises what can go wrong on the way."""
        async with self.deadlines.until(deadline, self.settings.request_timeout_s):
            made = await self._make_file(inputs, output, deadline, events)
            with timed("publish"):
                url = await self.results.publish(made.content, output.format, base_url)
        return UpscaleAnswer(url, inputs.seed, made.nsfw, made.distance)

    async def make_file(
        self,
        inputs: UpscaleInputs,
        output: Output,
        deadline: float,
        events: RequestEvents | None = None,
    ) -> FileAnswer:
        """As `make_answer`, the picture published nowhere."""
        async with self.deadlines.until(deadline, self.settings.request_timeout_s):
            made = await self._make_file(inputs, output, deadline, events)
        return FileAnswer(made.content, output.format, inputs.seed, made.nsfw, made.distance)

    async def _make_file(
        self,
        inputs: UpscaleInputs,
        output: Output,
        deadline: float,
        events: RequestEvents | None,
    ) -> Made:
        on_position = (lambda _: None) if events is None else events.add_queued
        on_progress = None if events is None else events.add_progress
        height, width = inputs.image.shape[:2]
        work = Work(
            width,
            height,
            inputs.num_inference_steps,
            inputs.guidance_scale,
            self.pool.max_tile,
            inputs.scheduler,
            inputs.model.step_cache,
            inputs.step_cache,
        )
        check_duration(self.pace, work, deadline - asyncio.get_running_loop().time())
        if events is not None:
            events.add_accepted(self.pace.seconds(work), self.pace.decode_seconds(work))
        with self.pace.waiting(work) as job:
            async with self.capacity.turn(on_position):
                self.pace.begun(job)
                with when_timed("denoise", partial(self.pace.denoised, job)):
                    upscaled = await self._upscaled(inputs, deadline, on_progress)
                self.pace.finished(job)
        with timed("write_image"):
            return await asyncio.to_thread(_made, inputs, upscaled, output)

    async def _upscaled(
        self, inputs: UpscaleInputs, deadline: float, on_progress: OnProgress | None
    ) -> Upscaled:
        try:
            return await self.pool.upscale(
                inputs, deadline, on_progress, self.settings.preview_every
            )
        except BrokenPicture:
            self.metrics.count_broken_picture()
            raise

    async def _content(self, form: UpscaleForm | UpscaleJson) -> bytes:
        if isinstance(form, UpscaleForm):
            return await form.image.read()
        return await self._in_reader(decode_image, form.image)

    async def _in_reader(self, work: Callable[..., T], *arguments: object) -> T:
        in_context = copy_context().run  # so that what it logs names the request
        return await asyncio.get_running_loop().run_in_executor(
            self.readers, in_context, work, *arguments
        )


def _made(inputs: UpscaleInputs, upscaled: Upscaled, output: Output) -> Made:
    picture = upscaled.image
    if inputs.color_fix == "wavelet":
        picture = with_colors_of(inputs.image, picture)
    levels = round(distance(picture, inputs.image), 2)
    return Made(output.file_of(picture), upscaled.nsfw, levels)


@asynccontextmanager
async def _spooled(body: AsyncIterator[bytes]) -> AsyncIterator[UploadFile]:
    """A body as a file: many that arrive slowly do not take their bytes in memory."""
    with SpooledTemporaryFile(SPOOLED_BYTES) as file:
        upload = UploadFile(file)  # type: ignore[arg-type]  # as Starlette's own
        async for piece in body:
            await upload.write(piece)
        await upload.seek(0)
        yield upload
