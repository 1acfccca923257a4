"""What an operator and go-livepeer ask: is it up, what does it serve, on which GPU."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.errors import NotReady
from gateway.http.deadlines import Deadlines
from gateway.http.error_answers import ErrorAnswers
from gateway.routes.hardware import gpu_info, gpu_stats
from gateway.schemas import Health, HTTPError, Model, Version
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.triton.pool import TritonPool

PIPELINE = "upscale"


def operations_router(
    settings: Settings,
    pool: TritonPool,
    deadlines: Deadlines,
    metrics: Metrics,
    error_answers: ErrorAnswers,
) -> APIRouter:
    """The routes beside /upscale; none asks for a token, as in ai-runner."""
    router = APIRouter(tags=["operations"])

    @router.get("/health", response_model=Health, responses={503: {"model": Health}})
    @router.get("/health/", include_in_schema=False)
    async def health() -> JSONResponse:
        """200 when a real inference has passed lately; go-livepeer takes any 200 for ready."""
        status = _status()
        return JSONResponse({"status": status}, 200 if status == "OK" else 503)

    @router.get("/livez", response_model=Health)
    async def livez() -> JSONResponse:
        """200 while the gateway answers at all; Kubernetes restarts it when not."""
        return JSONResponse({"status": _status()})

    @router.get("/readyz", response_model=Health, responses={503: {"model": Health}})
    async def readyz() -> JSONResponse:
        """As /health; Kubernetes sends requests elsewhere while it is not 200."""
        return await health()

    @router.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    async def get_metrics() -> Response:
        """Prometheus' text; without Triton's part while Triton does not answer."""
        return Response(metrics.text(await pool.statistics()), media_type=CONTENT_TYPE_LATEST)

    @router.get("/model", responses={error_answers.status(NotReady()): {"model": HTTPError}})
    async def get_model() -> Model:
        """The served model, its defaults and limits, for a page or a program that offers them."""
        return Model(
            **asdict(pool.model),
            max_input_pixels=settings.max_input_pixels,
            max_body_bytes=settings.max_body_bytes,
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

    def _status() -> str:
        return "IDLE" if deadlines.are_ending else pool.status

    async def _hardware(key: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        gpus = await asyncio.to_thread(read)
        return {"pipeline": PIPELINE, "model_id": _model_id(), key: gpus}

    def _model_id() -> str:
        try:
            return pool.model.model_id
        except NotReady:
            return ""

    return router
