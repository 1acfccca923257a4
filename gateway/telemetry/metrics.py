"""What Prometheus reads: the gateway's own counts, and Triton's of its models.

Names follow https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gateway.http.capacity import Capacity
from gateway.http.disconnect import CLIENT_CLOSED_REQUEST
from gateway.triton.client import ModelStatistics

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The gateway's own, in a registry of their own."""

    def __init__(self, capacity: Capacity) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "upscale_requests",
            "Requests to /upscale that ended, by status.",
            ["status"],
            registry=self._registry,
        )
        self._refused = Counter(
            "upscale_refused",
            "Requests to /upscale that a busy server refused, by status; the total has them too.",
            ["status"],
            registry=self._registry,
        )
        self._cancelled = Counter(
            "upscale_cancelled",
            "Requests to /upscale whose client went away before the answer.",
            registry=self._registry,
        )
        self._broken = Counter(
            "upscale_broken_pictures",
            "Pictures that were held back as they were none: not finite, or of one colour.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "upscale_request_duration_seconds",
            "From the first byte of a request to /upscale to the last of its answer.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._parts = Histogram(
            "upscale_part_duration_seconds",
            "Parts of requests to /upscale, by name.",
            ["part"],
            buckets=SECONDS,
            registry=self._registry,
        )
        in_progress = Gauge(
            "upscale_in_progress",
            "Requests that are received, worked on or answered; those that wait are not.",
            registry=self._registry,
        )
        in_progress.set_function(lambda: capacity.taken - capacity.waiting)
        waiting = Gauge(
            "upscale_waiting",
            "Requests that wait for Triton to have room.",
            registry=self._registry,
        )
        waiting.set_function(lambda: capacity.waiting)

    def count_request(
        self, status: int, seconds: float, parts: dict[str, float], is_refused: bool = False
    ) -> None:
        """Count a request to /upscale; is_refused: as the server is busy."""
        self._requests.labels(str(status)).inc()
        if is_refused:
            self._refused.labels(str(status)).inc()
        if status == CLIENT_CLOSED_REQUEST:
            self._cancelled.inc()
        self._seconds.observe(seconds)
        for part, part_seconds in parts.items():
            self._parts.labels(part).observe(part_seconds)

    def count_broken_picture(self) -> None:
        """Count one that was held back."""
        self._broken.inc()

    def text(self, models: Mapping[str, Sequence[ModelStatistics]]) -> bytes:
        """Everything in Prometheus' text format.

        models: by the address of their Triton; those that cannot be asked are not in it.
        """
        registry = CollectorRegistry()
        registry.register(_Models(models))
        return generate_latest(self._registry) + generate_latest(registry)


class _Models(Collector):
    """Triton's counts: compute by executions is a batch's time, rows its size."""

    def __init__(self, models: Mapping[str, Sequence[ModelStatistics]]) -> None:
        self._models = models

    def collect(self) -> Iterator[CounterMetricFamily]:
        kinds = (
            ("rows", "Rows that a Triton model worked on."),
            ("executions", "Batches that a Triton model worked on."),
            ("compute_seconds", "Time that batches spent in a Triton model."),
            ("queue_seconds", "Time that requests waited for a Triton model."),
        )
        for kind, description in kinds:
            family = CounterMetricFamily(
                f"upscale_model_{kind}", description, labels=["model", "triton"]
            )
            attribute = kind.replace("seconds", "s")
            for address, models in self._models.items():
                for model in models:
                    family.add_metric([model.name, address], getattr(model, attribute))
            yield family
