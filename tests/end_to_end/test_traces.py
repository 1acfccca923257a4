"""A request's trace through the gateway into Triton, as a collector gets it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse

from embedded.triton import free_port
from tests.collector import Collector
from tests.end_to_end.test_seeing_it import PARTS, lines
from tests.photographs import file_of, photograph
from tests.server import ROOT, Server, gateway_before, wait_until

SMALL = file_of(photograph("cat", 32, 32))
CALLER = "00f067aa0ba902b7"
STAGES = {"encode": {"text_encoder"}, "denoise": set(), "decode": {"vae_decoder", "safety_checker"}}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(repositories: Callable[[str], Path], collector: Collector) -> Iterator[Server]:
    with Server(
        repositories("narrow"),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
        AUTH_TOKEN="a token",
    ) as server:
        yield server


def post(server: Server, trace_id: str, flags: str = "01", **fields: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/upscale",
        files={"image": SMALL},
        data={"prompt": "a secret", "num_inference_steps": "3", **fields},
        headers={
            "Authorization": "Bearer a token",
            "X-Request-ID": f"id-{trace_id}",
            "traceparent": f"00-{trace_id}-{CALLER}-{flags}",
        },
        timeout=60,
        trust_env=False,
    )


def names(collector: Collector, trace_id: str) -> set[tuple[str, str]]:
    """Service and name of what has come of a trace."""
    return {(span.service, span.name) for span in collector.spans if span.trace_id == trace_id}


def test_one_trace_from_the_caller_through_the_gateway_into_triton(
    traced: Server, collector: Collector
) -> None:
    expected = {("upscale", name) for name in {"POST /upscale", *PARTS}}
    expected |= {("triton", name) for name in {*STAGES, *set.union(*STAGES.values())}}
    trace_ids = [f"{n:032x}" for n in range(1, 7)]  # Triton 2.51 loses one call in twenty or so
    for trace_id in trace_ids:
        assert post(traced, trace_id).status_code == 200

    def whole_traces() -> list[str]:
        return [trace_id for trace_id in trace_ids if expected <= names(collector, trace_id)]

    wait_until(whole_traces, 30)
    trace_id = whole_traces()[0]
    whole = collector.named("upscale", "POST /upscale", trace_id)
    assert whole.parent_id == CALLER
    assert whole.attributes["request_id"] == f"id-{trace_id}"
    assert not whole.is_error
    for part in PARTS:
        assert collector.named("upscale", part, trace_id).parent_id == whole.span_id
    by_id = {span.span_id: span for span in collector.spans}
    for stage, its_engines in STAGES.items():
        span = collector.named("triton", stage, trace_id)
        of_grpc = by_id[span.parent_id]  # Triton's InferRequest
        assert by_id[of_grpc.parent_id] == collector.named("upscale", stage, trace_id)
        for engine in its_engines:
            assert collector.named("triton", engine, trace_id).parent_id == span.span_id
    wait_until(lambda: lines(traced, f"id-{trace_id}"), 5)
    assert lines(traced, f"id-{trace_id}")[0]["trace_id"] == trace_id


def test_errors_mark_the_span_and_nothing_of_the_caller_is_told(
    traced: Server, collector: Collector
) -> None:
    refused, failed, watched = "a" * 32, "b" * 32, "c" * 32
    assert post(traced, refused, model_id="a secret model").status_code == 400
    with gateway_before(
        traced,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
        AUTH_TOKEN="a token",
        REQUEST_TIMEOUT_S="1",
    ) as impatient:
        assert post(impatient, failed, num_inference_steps="1000").status_code == 500
        headers = {"Authorization": "Bearer a token", "traceparent": f"00-{watched}-{CALLER}-01"}
        fields = {"prompt": "a secret", "num_inference_steps": "1000"}
        with (
            httpx.Client(headers=headers, timeout=60, trust_env=False) as client,
            connect_sse(
                client,
                "POST",
                f"{impatient.url}/upscale",
                files={"image": SMALL},
                data=fields,
            ) as source,
        ):
            [*_, last] = source.iter_sse()
            assert last.event == "error"
        whole = ("upscale", "POST /upscale")
        wait_until(lambda: all(whole in names(collector, i) for i in (failed, watched)), 20)
    wholes = {s.trace_id: s for s in collector.spans if s.name == "POST /upscale"}
    assert wholes[failed].is_error
    assert wholes[watched].is_error
    assert collector.named("upscale", "denoise", failed).is_error
    wait_until(lambda: ("upscale", "POST /upscale") in names(collector, refused), 20)
    assert not collector.named("upscale", "POST /upscale", refused).is_error
    text = "".join(span.text for span in collector.spans)
    assert "a secret" not in text
    assert "a token" not in text


def test_only_requests_are_traced_and_only_if_the_caller_samples_them(
    traced: Server, collector: Collector
) -> None:
    unsampled, sampled = "d" * 32, "e" * 32
    assert post(traced, unsampled, flags="00").status_code == 200
    assert traced.get("/health").status_code == 200
    assert post(traced, sampled).status_code == 200
    wait_until(lambda: ("upscale", "POST /upscale") in names(collector, sampled), 20)
    assert names(collector, unsampled) == set()
    roots = [s.name for s in collector.spans if s.service == "upscale" and s.parent_id == ""]
    assert roots == []  # every one has a caller here; a trial for /health would have none


def test_a_collector_that_is_not_there_costs_a_line_of_the_log(
    repositories: Callable[[str], Path],
) -> None:
    with Server(
        repositories("narrow"),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_BSP_SCHEDULE_DELAY="100",
        AUTH_TOKEN="a token",
    ) as server:
        assert post(server, "7" * 32).status_code == 200
        wait_until(
            lambda: any("opentelemetry" in str(line.get("logger")) for line in server.log()), 20
        )
        assert post(server, "8" * 32).status_code == 200
        assert server.stop() == 0


def test_without_the_setting_the_sdk_is_not_imported() -> None:
    code = (
        "import json, sys, gateway.app, embedded.serve;"
        "print(json.dumps([m for m in sys.modules if m.startswith('opentelemetry.')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = json.loads(done.stdout)
    assert "opentelemetry.trace" in modules
    assert not [m for m in modules if m.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
