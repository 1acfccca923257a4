"""What an operator's machines ask: does it live, does it serve, and how much."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.http.deadlines import Deadlines
from gateway.schemas import Health
from gateway.telemetry.metrics import Metrics
from gateway.triton.pool import TritonPool


def health_router(pool: TritonPool, deadlines: Deadlines, metrics: Metrics) -> APIRouter:
    """Probes and metrics; none asks for a token."""
    router = APIRouter(tags=["operations"])

    @router.get("/health", response_model=Health, responses={503: {"model": Health}})
    @router.get("/health/", include_in_schema=False)
    async def health() -> JSONResponse:
        """200 when a real inference has passed lately; go-livepeer takes any 200 for ready."""
        health = _health()
        return JSONResponse(health, 200 if health["status"] == "OK" else 503)

    @router.get("/livez", response_model=Health)
    async def livez() -> JSONResponse:
        """200 while the gateway answers at all; Kubernetes restarts it when not."""
        return JSONResponse(_health())

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

    def _health() -> dict[str, str]:
        if deadlines.are_ending:
            return {"status": "IDLE"}
        stage = pool.stage
        return {"status": pool.status} | ({} if stage is None else {"stage": stage})

    return router
