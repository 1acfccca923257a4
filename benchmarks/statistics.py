"""Where a server says its time went: Triton's count of every model, the gateway's of its parts."""

from dataclasses import dataclass, fields
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import InferenceServerClient

NS = 1e9


@dataclass(frozen=True)
class ModelTimes:
    """Of one model since it was loaded, or between two moments.

    requests, executions: how many, and batches of them; rows: in all batches. Seconds: request_s
    from a request's arrival to its release, queue_s until its batch began, both added up over
    requests; input_s, infer_s, output_s of batches.
    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
    """

    requests: float = 0
    executions: float = 0
    rows: float = 0
    request_s: float = 0
    queue_s: float = 0
    input_s: float = 0
    infer_s: float = 0
    output_s: float = 0

    def __add__(self, other: Self) -> "ModelTimes":
        return ModelTimes(*(a + b for a, b in zip(values(self), values(other), strict=True)))

    def __sub__(self, other: Self) -> "ModelTimes":
        return ModelTimes(*(a - b for a, b in zip(values(self), values(other), strict=True)))

    def __truediv__(self, count: float) -> "ModelTimes":
        return ModelTimes(*(value / count for value in values(self)))

    @property
    def compute_s(self) -> float:
        """What the backend took, with the copies to and from it."""
        return self.input_s + self.infer_s + self.output_s


def values(times: ModelTimes) -> list[float]:
    """In the order of its fields."""
    return [getattr(times, field.name) for field in fields(times)]


def statistics(client: InferenceServerClient) -> dict[str, ModelTimes]:
    """Every model's by its name."""
    return {
        model.name: ModelTimes(
            requests=model.inference_stats.success.count,
            executions=model.execution_count,
            rows=model.inference_count,
            request_s=model.inference_stats.success.ns / NS,
            queue_s=model.inference_stats.queue.ns / NS,
            input_s=sum(batch.compute_input.ns for batch in model.batch_stats) / NS,
            infer_s=sum(batch.compute_infer.ns for batch in model.batch_stats) / NS,
            output_s=sum(batch.compute_output.ns for batch in model.batch_stats) / NS,
        )
        for model in client.get_inference_statistics().model_stats
    }


class Statistics:
    """Of every model, unet's with what denoise runs; metrics_url: of Triton."""

    def __init__(self, client: InferenceServerClient, metrics_url: str) -> None:
        self._client = client
        self._metrics_url = metrics_url
        parameters = client.get_model_config("denoise").config.parameters
        self._is_own = parameters["unet"].string_value == "denoise"

    def read(self) -> dict[str, ModelTimes]:
        """Since each was loaded, by name."""
        times = statistics(self._client)
        if self._is_own:
            times["unet"] += self._denoise()
        return times

    def since(self, before: dict[str, ModelTimes]) -> dict[str, ModelTimes]:
        """What came to it after `before`."""
        return {name: times - before[name] for name, times in self.read().items()}

    def _denoise(self) -> ModelTimes:
        text = httpx.get(self._metrics_url, timeout=30, trust_env=False).raise_for_status().text
        samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
        counts = {
            s.labels["of"]: s.value for s in samples if s.name == "upscale_denoise_unet_total"
        }
        seconds = sum(s.value for s in samples if s.name == "upscale_denoise_unet_seconds_total")
        return ModelTimes(
            counts["calls"], counts["calls"], counts["rows"], seconds, infer_s=seconds
        )


@dataclass(frozen=True)
class GatewaySeconds:
    """Of requests to /upscale since the start, or between two moments: whole, and of each part."""

    whole_s: float
    parts_s: dict[str, float]

    @classmethod
    def read(cls, url: str) -> Self:
        """From the metrics of the gateway at url."""
        text = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).raise_for_status().text
        samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
        whole_s = sum(s.value for s in samples if s.name == "upscale_request_duration_seconds_sum")
        name = "upscale_part_duration_seconds_sum"
        return cls(whole_s, {s.labels["part"]: s.value for s in samples if s.name == name})

    def __sub__(self, before: Self) -> "GatewaySeconds":
        return GatewaySeconds(
            self.whole_s - before.whole_s,
            {part: value - before.parts_s.get(part, 0.0) for part, value in self.parts_s.items()},
        )

    def __truediv__(self, count: float) -> "GatewaySeconds":
        return GatewaySeconds(
            self.whole_s / count, {part: value / count for part, value in self.parts_s.items()}
        )
