from prometheus_client.parser import text_string_to_metric_families

from gateway.http.capacity import Capacity
from gateway.telemetry.metrics import Metrics
from gateway.triton.client import ModelStatistics

UNET = ModelStatistics("unet", rows=6, executions=4, compute_s=0.5, queue_s=0.25)


def values(metrics: Metrics, *models: ModelStatistics) -> dict[tuple[str, str], float]:
    """By name and the values of the labels."""
    families = text_string_to_metric_families(metrics.text({"triton:8001": models}).decode())
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_are_counted_by_status_and_cancelled_ones_apart() -> None:
    metrics = Metrics(Capacity(1, 1))
    metrics.count_request(200, 2.0, {"denoise": 1.5})
    metrics.count_request(499, 1.0, {"denoise": 0.5})
    metrics.count_request(500, 0.0, {}, is_refused=True)
    found = values(metrics)
    assert found["upscale_requests_total", "500"] == found["upscale_refused_total", "500"] == 1
    assert ("upscale_refused_total", "200") not in found
    assert found["upscale_requests_total", "200"] == 1
    assert found["upscale_requests_total", "499"] == 1
    assert found["upscale_cancelled_total", ""] == 1
    assert found["upscale_request_duration_seconds_sum", ""] == 3
    assert found["upscale_part_duration_seconds_sum", "denoise"] == 2


def test_places_are_read_when_they_are_asked_for() -> None:
    capacity = Capacity(2, 2)
    metrics = Metrics(capacity)
    with capacity.place(), capacity.place():
        assert values(metrics)["upscale_in_progress", ""] == 2
    assert values(metrics)["upscale_in_progress", ""] == 0


def test_the_models_are_those_of_triton() -> None:
    found = values(Metrics(Capacity(1, 1)), UNET)
    assert found["upscale_model_rows_total", "unet triton:8001"] == 6
    assert found["upscale_model_executions_total", "unet triton:8001"] == 4
    assert found["upscale_model_compute_seconds_total", "unet triton:8001"] == 0.5
    assert found["upscale_model_queue_seconds_total", "unet triton:8001"] == 0.25
