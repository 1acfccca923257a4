"""The gateway as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI

from gateway.backends import Backends
from gateway.capacity import Capacity
from gateway.entrance import Entrance
from gateway.errors import ErrorAnswers, add_error_handlers
from gateway.media_route import media_router
from gateway.media_store import LocalMedia, media_store
from gateway.metrics import Metrics
from gateway.openapi import follow_contract
from gateway.operations import operations_router
from gateway.page import PageFiles, page_router
from gateway.request_log import RequestLog
from gateway.settings import Settings
from gateway.traces import TELEMETRY, traces_sent
from gateway.upscale import upscale_router


def create_app(settings: Settings, backends: Backends) -> FastAPI:
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
    media = media_store(settings)
    metrics = Metrics(capacity)
    app.include_router(upscale_router(settings, backends, capacity, media, answers))
    if isinstance(media, LocalMedia):
        app.include_router(media_router(media))
    app.include_router(operations_router(settings, backends, metrics, answers))
    files = PageFiles(settings)
    app.include_router(page_router(files))
    app.mount("/page", files)
    app.add_middleware(Entrance, settings=settings, capacity=capacity, answers=answers)
    app.add_middleware(RequestLog, metrics=metrics)
    add_error_handlers(app, answers)
    follow_contract(app)
    return app
