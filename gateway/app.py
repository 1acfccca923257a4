"""The gateway as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI

from gateway.errors import ErrorAnswers, add_error_handlers
from gateway.http.capacity import Capacity
from gateway.http.entrance import Entrance
from gateway.http.request_log import RequestLog
from gateway.results.store import LocalResults, result_store
from gateway.routes.openapi import follow_contract
from gateway.routes.operations import operations_router
from gateway.routes.page import PageFiles, page_router
from gateway.routes.results import results_router
from gateway.routes.upscale import upscale_router
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import TELEMETRY, traces_sent
from gateway.triton.pool import TritonPool


def create_app(settings: Settings, backends: TritonPool) -> FastAPI:
    """The application; in the background it watches whether Triton serves.

    Raises ConfigurationError when results cannot go where the settings say.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with traces_sent(settings.otel_exporter_otlp_endpoint):
            watching = asyncio.create_task(backends.watch())
            yield
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await backends.close()

    app = FastAPI(
        title="Upscale",
        description="Makes an image four times as large with a diffusion model.",
        version=version("upscale"),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        telemetry=TELEMETRY,
    )
    capacity = Capacity(settings.max_in_progress, settings.max_waiting)
    answers = ErrorAnswers(settings.error_profile)
    media = result_store(settings)
    metrics = Metrics(capacity)
    app.include_router(upscale_router(settings, backends, capacity, media, answers))
    if isinstance(media, LocalResults):
        app.include_router(results_router(media))
    app.include_router(operations_router(settings, backends, metrics, answers))
    files = PageFiles(settings)
    app.include_router(page_router(files))
    app.mount("/page", files)
    app.add_middleware(Entrance, settings=settings, capacity=capacity, answers=answers)
    app.add_middleware(RequestLog, metrics=metrics)
    add_error_handlers(app, answers)
    follow_contract(app)
    return app
