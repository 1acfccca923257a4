"""A collector of traces on loopback, OTLP over HTTP."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Span:
    """One span; ids are hexadecimal, parent_id empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_error: bool
    text: str  # all of it


class Collector:
    """Takes protobuf, as the gateway sends it, and JSON, as Triton does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_json = self.headers["Content-Type"] == "application/json"
                collector.spans += from_json(body) if is_json else from_protobuf(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def named(self, service: str, name: str, trace_id: str) -> Span:
        """The only such span."""
        wanted = (service, name, trace_id)
        [span] = [s for s in self.spans if (s.service, s.name, s.trace_id) == wanted]
        return span


def from_protobuf(body: bytes) -> Iterator[Span]:
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = attributes(MessageToDict(resource_spans.resource))["service.name"]
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                is_error = span.status.code == Status.STATUS_CODE_ERROR
                found = attributes(MessageToDict(span))
                yield Span(service, span.name, *ids, found, is_error, str(span))


def from_json(body: bytes) -> Iterator[Span]:
    for resource_spans in json.loads(body)["resourceSpans"]:
        service = attributes(resource_spans["resource"])["service.name"]
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                ids = (span["traceId"], span["spanId"], span.get("parentSpanId", ""))
                is_error = span.get("status", {}).get("code") == Status.STATUS_CODE_ERROR
                yield Span(service, span["name"], *ids, attributes(span), is_error, str(span))


def attributes(owner: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in owner.get("attributes", [])}
