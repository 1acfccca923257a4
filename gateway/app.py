"""The gateway as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from gateway.estimate.pace import Pace
from gateway.http.capacity import Capacity
from gateway.http.closing import ClosingConnections
from gateway.http.deadlines import Deadlines
from gateway.http.entrance import Entrance
from gateway.http.error_answers import ErrorAnswers, add_error_handlers
from gateway.http.head import HeadAsGet
from gateway.http.request_log import RequestLog
from gateway.http.request_target import AbsoluteTargets
from gateway.results.store import LocalResults, result_store
from gateway.routes.answer import CHECK, DISTANCE, NSFW, SEED
from gateway.routes.estimate import estimate_router
from gateway.routes.health import health_router
from gateway.routes.openapi import follow_contract
from gateway.routes.operations import operations_router
from gateway.routes.page import SWAGGER_UI, PageFiles, page_router
from gateway.routes.results import results_router
from gateway.routes.upscale import upscale_router
from gateway.settings import Settings
from gateway.tasks import in_background
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import TELEMETRY, traces_sent
from gateway.triton.pool import TritonPool
from gateway.upscaler import Upscaler
from gateway.warnings import warn


def create_app(settings: Settings, pool: TritonPool, deadlines: Deadlines | None = None) -> FastAPI:
    """The application; in the background it watches whether Triton serves.

    deadlines: of its requests; whoever runs it ends them before it. None: nobody does.
    Raises ConfigurationError when results cannot go where the settings say.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with traces_sent(settings.otel_exporter_otlp_endpoint):
            async with in_background(pool.watch()), in_background(warn(settings, pool)):
                yield
            await pool.close()

    app = FastAPI(
        title="Upscale",
        description="Makes an image four times as large with a diffusion model.",
        version=version("upscale"),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from another host; ours is routes/page.py's
        redoc_url=None,
        telemetry=TELEMETRY,
    )
    deadlines = deadlines or Deadlines()
    capacity = Capacity(settings.max_in_progress, settings.max_waiting)
    error_answers = ErrorAnswers(settings.error_profile)
    results = result_store(settings)
    metrics = Metrics(capacity)
    pace = Pace(settings.max_in_progress, lambda: len(pool.ready()))
    upscaler = Upscaler(settings, pool, capacity, deadlines, results, pace, metrics)
    files = PageFiles(settings)
    app.include_router(upscale_router(upscaler, error_answers))
    if isinstance(results, LocalResults):
        app.include_router(results_router(results))
    app.include_router(estimate_router(settings, pool, capacity, pace, error_answers))
    app.include_router(health_router(pool, deadlines, metrics))
    app.include_router(operations_router(settings, pool, error_answers))
    app.include_router(page_router(files))
    app.mount("/page", files)
    app.mount("/docs/files", PageFiles(settings, SWAGGER_UI))
    app.add_middleware(HeadAsGet)
    app.add_middleware(Entrance, settings=settings, capacity=capacity, error_answers=error_answers)
    if settings.cors_origins is not None:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins.split(","),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=[SEED, NSFW, CHECK, DISTANCE, "Retry-After", "X-Request-ID"],
        )
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(ClosingConnections, deadlines=deadlines)
    app.add_middleware(AbsoluteTargets)
    add_error_handlers(app, error_answers)
    follow_contract(app)
    return app
