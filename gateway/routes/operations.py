"""What a client and go-livepeer ask: what is served, on which GPU."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from gateway.errors import NotReady
from gateway.http.error_answers import ErrorAnswers
from gateway.images.read import FORMATS
from gateway.routes.defaults import interval_of
from gateway.routes.hardware import gpu_info, gpu_stats
from gateway.schemas import HTTPError, Model, Version
from gateway.settings import Settings
from gateway.triton.pool import TritonPool

PIPELINE = "upscale"


def operations_router(
    settings: Settings, pool: TritonPool, error_answers: ErrorAnswers
) -> APIRouter:
    """Routes that describe the server; none asks for a token, as in ai-runner."""
    router = APIRouter(tags=["operations"])

    @router.get("/model", responses={error_answers.status(NotReady()): {"model": HTTPError}})
    async def get_model() -> Model:
        """The served model, its defaults and limits, for a page or a program that offers them."""
        model = pool.model
        return Model(
            **{
                **asdict(model),
                "schedulers": model.schedulers.names,
                "has_step_cache": model.step_cache is not None,
                "step_cache": interval_of(None, model, settings.step_cache),
            },
            input_formats=[name.lower() for name in FORMATS],
            max_input_pixels=settings.max_input_pixels,
            max_fit_pixels=max(settings.max_fit_pixels, settings.max_input_pixels),
            max_body_bytes=settings.max_body_bytes,
            max_in_progress=settings.max_in_progress,
            max_waiting=settings.max_waiting,
        )

    @router.get("/version")
    @router.get("/version/", include_in_schema=False)
    async def get_version() -> Version:
        """Pipeline, model and version of this server."""
        return Version(pipeline=PIPELINE, model_id=_model_id(), version=version("upscale"))

    @router.get("/hardware/info")
    @router.get("/hardware/info/", include_in_schema=False)
    async def hardware_info() -> dict[str, Any]:
        """The GPUs of this machine; memory in bytes."""
        return await _hardware("gpu_info", gpu_info)

    @router.get("/hardware/stats")
    @router.get("/hardware/stats/", include_in_schema=False)
    async def hardware_stats() -> dict[str, Any]:
        """How busy the GPUs of this machine are; percent, bytes."""
        return await _hardware("gpu_stats", gpu_stats)

    async def _hardware(key: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        gpus = await asyncio.to_thread(read)
        return {"pipeline": PIPELINE, "model_id": _model_id(), key: gpus}

    def _model_id() -> str:
        try:
            return pool.model.model_id
        except NotReady:
            return ""

    return router
