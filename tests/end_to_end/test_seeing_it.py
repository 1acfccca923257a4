"""What an operator sees of requests: ids, metrics and the log."""

from typing import Any

import httpx

from tests.end_to_end.test_disconnect import send_and_keep_open
from tests.photographs import file_of, photograph
from tests.server import Server, gateway_before, wait_until

SMALL = file_of(photograph("cat", 32, 32))
PARTS = {"read_image", "wait", "encode", "denoise", "decode", "write_image", "publish"}


def post(server: Server, request_id: str, **fields: Any) -> httpx.Response:
    return httpx.post(
        f"{server.url}/upscale",
        files={"image": SMALL},
        data={"prompt": "a secret", "num_inference_steps": "5", **fields},
        headers={"X-Request-ID": request_id},
        timeout=60,
        trust_env=False,
    )


def lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    return [line for line in server.log() if line.get("request_id") == request_id]


def test_every_answer_names_its_request(server: Server) -> None:
    assert post(server, "taken-over").headers["x-request-id"] == "taken-over"
    made = post(server, "not an id").headers["x-request-id"]
    assert len(made) == 32
    for path in ("/health", "/nowhere", "/metrics"):
        assert len(server.get(path).headers["x-request-id"]) == 32
    refused = httpx.post(f"{server.url}/upscale", trust_env=False)
    assert refused.status_code == 422
    assert len(refused.headers["x-request-id"]) == 32


def test_a_request_is_one_line_with_every_duration_and_without_its_prompt(server: Server) -> None:
    assert post(server, "one-line").status_code == 200
    wait_until(lambda: lines(server, "one-line"), 5)
    [line] = lines(server, "one-line")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/upscale", 200)
    parts = {key.removesuffix("_seconds"): line[key] for key in line if key.endswith("_seconds")}
    assert set(parts) == PARTS
    assert 0 < sum(parts.values()) <= line["seconds"]
    assert "a secret" not in str(server.log())


def test_probes_that_succeed_are_not_logged(server: Server) -> None:
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        assert server.get(path).status_code == 200
    assert post(server, "after-the-probes").status_code == 200
    wait_until(lambda: lines(server, "after-the-probes"), 5)
    assert not {"/health", "/livez", "/readyz", "/metrics"} & {
        line.get("path") for line in server.log()
    }


def test_metrics_count_requests_parts_and_engines(server: Server) -> None:
    names = {
        "upscale_requests_total": {"status": "200"},
        "upscale_part_duration_seconds_count": {"part": "denoise"},
        "upscale_model_executions_total": {"model": "text_encoder"},
        "upscale_model_rows_total": {"model": "vae_decoder"},
    }
    before = {name: server.gateway_metric(name, **labels) for name, labels in names.items()}
    assert post(server, "counted").status_code == 200
    after = {name: server.gateway_metric(name, **labels) for name, labels in names.items()}
    assert [after[name] - before[name] for name in names] == [1, 1, 1, 1]
    assert server.gateway_metric("upscale_in_progress") == 0
    assert server.gateway_metric("upscale_waiting") == 0


def test_who_goes_away_is_counted_as_cancelled(server: Server) -> None:
    before = server.gateway_metric("upscale_cancelled_total")
    connection = send_and_keep_open(server, SMALL, steps=1000)
    wait_until(lambda: server.gateway_metric("upscale_in_progress") == 1, 20)
    connection.close()
    wait_until(lambda: server.gateway_metric("upscale_cancelled_total") == before + 1, 20)
    assert server.gateway_metric("upscale_in_progress") == 0


def test_a_deadline_frees_the_work_within_two_steps(server: Server) -> None:
    image = file_of(photograph("coffee", 256, 256))  # large, so that a step takes its time
    with gateway_before(server, REQUEST_TIMEOUT_S="2") as impatient:
        before = impatient.counts("unet")[1]
        response = impatient.post(image, num_inference_steps=1000)
        calls = impatient.counts("unet")[1]
        assert response.status_code == 500
        assert "longer than 2 s" in response.json()["detail"]["msg"]
        wait_until(lambda: impatient.metric("upscale_denoise_jobs", state="active") == 0, 20)
        assert calls > before
        assert impatient.counts("unet")[1] - calls <= 2
        assert impatient.gateway_metric("upscale_requests_total", status="500") == 1
        impatient.upscale(SMALL, num_inference_steps=2)
