"""`POST /estimate`: what a picture will cost and whether it is taken, before it is sent."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gateway.errors import (
    BodyTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    NotReady,
    TritonFailed,
    UnsupportedEncoding,
    UploadTimeout,
    UpscaleError,
)
from gateway.estimate.fit import check_work, fitted
from gateway.estimate.pace import Pace
from gateway.estimate.refusal import check_duration
from gateway.estimate.work import Work
from gateway.http.capacity import Capacity
from gateway.http.entrance import ESTIMATES
from gateway.http.error_answers import NO_CAPACITY, ErrorAnswers
from gateway.http.json_body import MEDIA_TYPE, fields_of_json, validated
from gateway.routes.defaults import check_steps, work_of
from gateway.routes.form import (
    Fit,
    GuidanceScale,
    ResultFormat,
    SchedulerName,
    StepCacheInterval,
    Steps,
)
from gateway.schemas import Estimate, HTTPError
from gateway.settings import Settings
from gateway.triton.pool import TritonPool
from gateway.triton.served_model import DenoiseLimits
from stages.errors import StageError
from stages.limits import DEFAULT_INFERENCE_STEPS

MAX_SIDE = 131_072  # pixels; times the shortest side, 8, as many as a server takes by default
MAX_MARKS = 100  # commas and brackets of a body
ERRORS: tuple[UpscaleError, ...] = (
    BodyTooLarge(0),
    InvalidRequest(),
    NotReady(),
    TritonFailed(),
    UnsupportedEncoding(""),
    UploadTimeout(0),
)


class EstimateFields(BaseModel):
    """Size of an image and what is to be done with it, as for /upscale."""

    width: Annotated[int, Field(description="Of the image, pixels.", ge=1, le=MAX_SIDE)]
    height: Annotated[int, Field(description="Of the image, pixels.", ge=1, le=MAX_SIDE)]
    num_inference_steps: Steps = DEFAULT_INFERENCE_STEPS
    guidance_scale: GuidanceScale = None
    scheduler: SchedulerName = ""
    step_cache: StepCacheInterval = None
    output_format: ResultFormat = "png"
    fit: Fit = False


def estimate_router(
    settings: Settings,
    pool: TritonPool,
    capacity: Capacity,
    pace: Pace,
    error_answers: ErrorAnswers,
) -> APIRouter:
    """The route /estimate; it asks for no token, as /model does not."""
    router = APIRouter(tags=["operations"])

    async def estimate(request: Request) -> Estimate:
        """What a picture will cost, were it sent now. No image needs to be sent."""
        content = b"".join([piece async for piece in request.stream()])
        fields = validated(EstimateFields, fields_of_json(content, MAX_MARKS))
        model, limits = pool.model, await pool.denoise_limits()
        size = fields.width, fields.height
        work = work_of(fields, *size, model, pool.max_tile, settings.step_cache)
        if fields.fit and fields.width * fields.height <= settings.max_fit_pixels:
            width, height = fitted(work, fields.output_format, settings, limits)
            work = replace(work, width=width, height=height)
        seconds = pace.seconds(work)
        reason = why_not(work, fields, settings, limits, capacity, pace)
        height, width = work.output_size
        return Estimate(
            accepted=reason is None,
            reason=reason,
            unet_rows=work.unet_rows,
            shallow_rows=work.shallow_rows,
            tiles=work.tiles,
            tile_pixels=work.tile_pixels,
            memory_bytes=work.request(limits.prompt_embeds).memory_bytes,
            seconds=None if seconds is None else round(seconds, 3),
            output_width=width,
            output_height=height,
        )

    schema = EstimateFields.model_json_schema()
    responses: dict[int | str, dict[str, Any]] = {
        422: {"description": "Validation Error"},
        **{error_answers.status(error): {"model": HTTPError} for error in ERRORS},
    }
    for path in ESTIMATES:
        router.add_api_route(
            path,
            estimate,
            methods=["POST"],
            responses=responses,
            include_in_schema=path == ESTIMATES[0],
            openapi_extra={
                "requestBody": {"content": {MEDIA_TYPE: {"schema": schema}}, "required": True}
            },
        )
    return router


def why_not(
    work: Work,
    fields: EstimateFields,
    settings: Settings,
    limits: DenoiseLimits,
    capacity: Capacity,
    pace: Pace,
) -> str | None:
    """The sentence that the request would be answered with; None where it would be served."""
    try:
        check_steps(fields.num_inference_steps)
        check_work(work, fields.output_format, settings, limits)
        capacity.check()
        check_duration(pace, work, settings.request_timeout_s)
    except (UpscaleError, StageError, ValueError) as error:  # the last: this budget is not Triton's
        is_busy = isinstance(error, InsufficientCapacity)
        return f"{NO_CAPACITY}: {error}" if is_busy else str(error)
    return None
