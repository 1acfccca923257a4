"""Triton's own count of time, of every model."""

from dataclasses import dataclass, fields
from typing import Self

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


def since(client: InferenceServerClient, before: dict[str, ModelTimes]) -> dict[str, ModelTimes]:
    """What came to it after `before`."""
    return {name: times - before[name] for name, times in statistics(client).items()}
