"""`POST /upscale`: parse, decode the file, three stages, encode the result, JSON."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi.security import HTTPBearer
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from gateway.errors import ErrorAnswers, InvalidRequest
from gateway.http.capacity import Capacity
from gateway.http.disconnect import run_while_connected
from gateway.images.read import read_image
from gateway.images.write import OutputFormat, check_size, encode
from gateway.results.store import ResultStore
from gateway.routes.events import MEDIA_TYPE, Course, event_response
from gateway.schemas import HTTPError, ImageResponse, Media
from gateway.settings import Settings
from gateway.telemetry.durations import timed
from gateway.telemetry.metrics import CLIENT_CLOSED_REQUEST
from gateway.triton.client import ServedModel, Upscaled, UpscaleInputs
from gateway.triton.pool import TritonPool

SCALE = 4
# At a time: a file made for it keeps a decoder busy for a second and takes 100 MB.
READERS = 2
MAX_INFERENCE_STEPS = 1000
MIN_SEED, MAX_SEED = -(2**63), 2**63 - 1  # int64

bearer = HTTPBearer(auto_error=False)


def upscale_router(
    settings: Settings,
    backends: TritonPool,
    capacity: Capacity,
    media: ResultStore,
    answers: ErrorAnswers,
) -> APIRouter:
    """The route /upscale, exactly as the contract has it, with four optional fields more.

    The token is checked before the body is read; see `Entrance`. Who accepts text/event-stream gets
    the request's course as events.
    """
    router = APIRouter()
    readers = ThreadPoolExecutor(READERS, "read-image")

    @router.post(
        "/upscale",
        operation_id="genUpscale",
        summary="Upscale",
        description="Upscale an image by increasing its resolution.",
        tags=["generate"],
        response_model=ImageResponse,
        responses={
            200: {"content": {MEDIA_TYPE: {}}},
            **{status: {"model": HTTPError} for status in answers.statuses()},
        },
        dependencies=[Depends(bearer)],  # for the served document
    )
    @router.post("/upscale/", include_in_schema=False)
    async def upscale(
        request: Request,
        prompt: Annotated[
            str,
            Form(
                description="Text prompt(s) to guide upscaled image generation.",
                min_length=1,  # FastAPI takes an empty field for a missing one
            ),
        ],
        image: Annotated[
            UploadFile, File(description="Uploaded image to modify with the pipeline.")
        ],
        model_id: Annotated[
            str, Form(description="Hugging Face model ID used for upscaled image generation.")
        ] = "",
        safety_check: Annotated[
            bool,
            Form(
                description="Perform a safety check to estimate if generated images could be"
                " offensive or harmful."
            ),
        ] = True,
        seed: Annotated[
            int | None,
            Form(description="Seed for random number generation.", ge=MIN_SEED, le=MAX_SEED),
        ] = None,
        num_inference_steps: Annotated[
            int,
            Form(
                description="Number of denoising steps. More steps usually lead to higher quality"
                " images but slower inference. Modulated by strength.",
                json_schema_extra={"maximum": MAX_INFERENCE_STEPS},  # past it, a 400
            ),
        ] = 75,
        negative_prompt: Annotated[
            str, Form(description="Text that the image should not show; needs guidance.")
        ] = "",
        guidance_scale: Annotated[
            float | None,
            Form(
                description="How strongly the prompt guides; 1 and below turn guidance off."
                " Unset, the model's default.",
                ge=0,
                le=100,
                allow_inf_nan=False,
            ),
        ] = None,
        noise_level: Annotated[
            int | None,
            Form(
                description="Noise added to the input before it is upscaled; more lets the model"
                " invent more. Unset, the model's default.",
                ge=0,
            ),
        ] = None,
        output_format: Annotated[
            OutputFormat, Form(description="File format of the result; png loses nothing.")
        ] = "png",
    ) -> Response:
        model = backends.model
        check_prompts(settings.max_prompt_chars, prompt=prompt, negative_prompt=negative_prompt)
        check(model, model_id, num_inference_steps, noise_level, safety_check)
        seed = secrets.randbits(32) if seed is None else seed
        deadline, base_url = request.state.deadline, str(request.base_url)
        in_time = partial(backends.deadlines.until, deadline, settings.request_timeout_s)
        with timed("read_image"):
            content = await image.read()
            async with in_time():
                pixels = await read(content)
        check_size(SCALE * pixels.shape[0], SCALE * pixels.shape[1], output_format)
        inputs = UpscaleInputs(
            image=pixels,
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            num_inference_steps=(
                num_inference_steps if num_inference_steps >= 1 else model.num_inference_steps
            ),
            guidance_scale=model.guidance_scale if guidance_scale is None else guidance_scale,
            noise_level=model.noise_level if noise_level is None else noise_level,
            safety_check=safety_check,
        )

        async def work(course: Course | None) -> bytes:
            async with in_time():
                upscaled = await in_turn(inputs, deadline, course)
                with timed("write_image"):
                    content = await asyncio.to_thread(encode, upscaled.image, output_format)
                with timed("publish"):
                    url = await media.publish(content, output_format, base_url)
            with timed("write_json"):
                return await asyncio.to_thread(response_json, url, seed, upscaled.nsfw)

        if MEDIA_TYPE in request.headers.get("accept", ""):
            return event_response(work, answers)
        try:
            body = await run_while_connected(request, work(None))
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return Response(body, media_type="application/json")

    async def read(content: bytes) -> NDArray[np.uint8]:
        in_context = copy_context().run  # so that what it logs names the request
        return await asyncio.get_running_loop().run_in_executor(
            readers, in_context, read_image, content, settings.max_input_pixels
        )

    async def in_turn(inputs: UpscaleInputs, deadline: float, course: Course | None) -> Upscaled:
        on_position = (lambda _: None) if course is None else course.queued
        on_progress = None if course is None else course.progress
        async with capacity.turn(on_position):
            return await backends.upscale(inputs, deadline, on_progress, settings.preview_every)

    return router


def check_prompts(max_chars: int, **prompts: str) -> None:
    """Raises InvalidRequest for a prompt that is too long."""
    for name, prompt in prompts.items():
        if len(prompt) > max_chars:
            raise InvalidRequest(
                f"{name} has {len(prompt)} characters; at most {max_chars} are allowed."
            )


def check(
    model: ServedModel,
    model_id: str,
    num_inference_steps: int,
    noise_level: int | None,
    safety_check: bool,
) -> None:
    """Raises InvalidRequest for what the served model cannot do."""
    if model_id not in ("", model.model_id):
        raise InvalidRequest(
            f"pipeline configured with {model.model_id} but called with {model_id}."
        )
    if num_inference_steps > MAX_INFERENCE_STEPS:
        raise InvalidRequest(
            f"num_inference_steps is {num_inference_steps};"
            f" at most {MAX_INFERENCE_STEPS} are allowed."
        )
    if noise_level is not None and noise_level > model.max_noise_level:
        raise InvalidRequest(
            f"noise_level is {noise_level}; at most {model.max_noise_level} is allowed."
        )
    if safety_check and not model.has_safety_checker:
        raise InvalidRequest(
            "safety_check is true, but this server has no safety checker; send safety_check false."
        )


def response_json(url: str, seed: int, nsfw: bool) -> bytes:
    """The contract's ImageResponse. The URL may be megabytes, so call it in a thread."""
    media = Media(url=url, seed=seed, nsfw=nsfw)
    return ImageResponse(images=[media]).model_dump_json().encode()
