"""One line of the log, one count and one id for every request."""

import time
from urllib.parse import quote

import structlog
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.disconnect import CLIENT_CLOSED_REQUEST
from gateway.http.entrance import is_upscale
from gateway.http.request_id import chosen_id
from gateway.telemetry.durations import gathered
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import current_trace_id

PROBES = ("/health", "/health/", "/livez", "/readyz", "/metrics")
OK = 200

logger = structlog.stdlib.get_logger("gateway")


class RequestLog:
    """ASGI middleware around everything else.

    `X-Request-ID` is taken over when it is made of letters, digits and . _ : -, 128 at most, else
    one is made; it goes back with every answer and stands in every line of the log, beside the
    trace's id if there is a trace. A line has no prompt, no token and no picture.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = chosen_id(Headers(scope=scope).get("x-request-id", ""))
        began = time.perf_counter()
        status, is_complete, is_refused = CLIENT_CLOSED_REQUEST, False, False

        async def marked(message: Message) -> None:
            nonlocal status, is_complete, is_refused
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                is_refused = "retry-after" in headers
            await send(message)
            if message["type"] == "http.response.body":
                is_complete = not message.get("more_body", False)

        names = {"request_id": request_id}
        if trace_id := current_trace_id():
            names["trace_id"] = trace_id
            trace.get_current_span().set_attribute("request_id", request_id)
        with structlog.contextvars.bound_contextvars(**names), gathered() as parts:
            try:
                await self._app(scope, receive, marked)
            finally:
                seconds = time.perf_counter() - began
                ended = status if is_complete else CLIENT_CLOSED_REQUEST
                if is_upscale(scope):
                    self._metrics.count_request(ended, seconds, parts, is_refused and is_complete)
                self._log_request(scope, ended, seconds, parts)

    def _log_request(
        self, scope: Scope, status: int, seconds: float, parts: dict[str, float]
    ) -> None:
        if scope["path"] in PROBES and status == OK:
            return
        logger.info(
            "request",
            method=scope["method"],
            path=quote(scope["path"]),  # a terminal obeys what it decodes to
            status=status,
            seconds=round(seconds, 6),
            **{f"{part}_seconds": round(part_seconds, 6) for part, part_seconds in parts.items()},
        )
