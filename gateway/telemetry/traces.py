"""OpenTelemetry traces of requests: https://opentelemetry.io/docs/specs/otlp/.

FastAPI itself makes the span of a request, a child of the caller's `traceparent`; `timed` in
gateway/telemetry/durations.py makes those of its parts. Without an endpoint none of them is
recorded, and the SDK is not imported.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.http.entrance import is_upscale

EXPORT_TIMEOUT_S = 3.0  # a collector that does not answer delays the end by no more
# Prometheus has the metrics and structlog the log, which goes nowhere else.
TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": lambda scope: not is_upscale(scope),
}


@asynccontextmanager
async def traces_sent(endpoint: str | None) -> AsyncIterator[None]:
    """Send the spans that end inside to a collector, once a process; None: there are none.

    endpoint: base URL of OTLP over HTTP, without /v1/traces. The SDK's own variables hold as well:
    OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and so on.
    """
    if endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource({"service.name": "upscale", "service.version": version("upscale")})
    provider = TracerProvider(
        resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(traces_url(endpoint), timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        await asyncio.to_thread(provider.shutdown)


def traces_url(endpoint: str) -> str:
    """Where spans are posted to."""
    return f"{endpoint.rstrip('/')}/v1/traces"


def current_trace_id() -> str:
    """32 hex digits; empty where nothing is recorded."""
    span = trace.get_current_span()
    return trace.format_trace_id(span.get_span_context().trace_id) if span.is_recording() else ""


def trace_headers() -> dict[str, str]:
    """For a call to the next server, `traceparent` (https://www.w3.org/TR/trace-context/).

    Empty where nothing is recorded: Triton records whatever has one, sampled or not.
    """
    headers: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        TraceContextTextMapPropagator().inject(headers)
    return headers
