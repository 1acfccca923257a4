"""`upscale bench request`: where the time of one request goes.

From the gateway's metrics and Triton's statistics of each model. What is left of a stage beside its
engines is its Python and the calls between processes; `py-spy record --pid` of the stage's process
looks further.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
from tritonclient.grpc import InferenceServerClient

from benchmarks.section import section, table
from benchmarks.statistics import GatewaySeconds, ModelTimes, Statistics

STAGES = {
    "encode": ("text_encoder",),
    "denoise": ("unet",),
    "decode": ("vae_decoder", "safety_checker"),
}


@dataclass(frozen=True)
class Snapshot:
    """Everything that is counted, since the start. client_s: of requests sent so far."""

    client_s: float
    gateway: GatewaySeconds
    triton: dict[str, ModelTimes]


@dataclass(frozen=True)
class Part:
    """A row: of the gateway or a stage, seconds of a request."""

    where: str
    what: str
    seconds: float


@dataclass(frozen=True)
class Breakdown:
    """whole_s: what the caller waits. Parts that were measured; the rest is unexplained."""

    whole_s: float
    parts: Sequence[Part]

    @property
    def unexplained_s(self) -> float:
        return self.whole_s - sum(part.seconds for part in self.parts)


def measure(
    url: str,
    triton_url: str,
    metrics_url: str,
    image: bytes,
    fields: dict[str, str],
    requests: int,
) -> Breakdown:
    """The mean of requests that are sent one after the other to a server without others.

    url: the gateway's; triton_url: Triton's gRPC; metrics_url: Triton's.
    """
    with InferenceServerClient(triton_url) as client:
        counts = Statistics(client, metrics_url)

        def snapshot() -> Snapshot:
            return Snapshot(client_s, GatewaySeconds.read(url), counts.read())

        client_s = 0.0
        send(url, image, fields)  # the first is slower
        before = snapshot()
        for _ in range(requests):
            client_s += send(url, image, fields)
        return explained(before, snapshot(), requests)


def send(url: str, image: bytes, fields: dict[str, str]) -> float:
    """One request, which must succeed; seconds until its last byte."""
    with httpx.Client(base_url=url, timeout=None, trust_env=False) as client:  # noqa: S113
        client.get("/livez")  # connects
        began = time.perf_counter()
        client.post("/upscale", files={"image": image}, data=fields).raise_for_status()
        return time.perf_counter() - began


def explained(before: Snapshot, after: Snapshot, requests: int) -> Breakdown:
    """What came to it between both, for one request."""
    gateway = (after.gateway - before.gateway) / requests
    triton = {name: (after.triton[name] - before.triton[name]) / requests for name in after.triton}
    whole_s = (after.client_s - before.client_s) / requests
    parts = [Part("HTTP", "client and connection", whole_s - gateway.whole_s)]
    for part, seconds in gateway.parts_s.items():
        if part in STAGES:
            parts += of_stage(part, seconds, triton)
        else:
            parts.append(Part("gateway", part, seconds))
    return Breakdown(whole_s, parts)


def of_stage(stage: str, part_s: float, triton: dict[str, ModelTimes]) -> Iterator[Part]:
    """The parts of a stage; part_s: what the gateway waited for it."""
    left_s = part_s
    for engine in STAGES[stage]:
        if engine in triton and triton[engine].requests:
            times = triton[engine]
            waited_s = times.queue_s + times.input_s + times.output_s
            yield Part(stage, f"{engine}: compute", times.infer_s)
            yield Part(stage, f"{engine}: queue, copies", waited_s)
            left_s -= times.infer_s + waited_s
    yield Part(stage, "its Python, calls", left_s)


def report(breakdown: Breakdown, description: str, requests: int) -> str:
    """The section of RESULTS.md."""
    whole_s = breakdown.whole_s
    rows = [
        [f"{part.where}: {part.what}", f"{1e3 * part.seconds:.2f}", f"{part.seconds / whole_s:.2%}"]
        for part in breakdown.parts
    ]
    unexplained_s = breakdown.unexplained_s
    rows.append(["unexplained", f"{1e3 * unexplained_s:.2f}", f"{unexplained_s / whole_s:.2%}"])
    rows.append(["**whole**", f"{1e3 * whole_s:.2f}", "100 %"])
    return section(
        "Where the time of a request goes",
        f"{description}; the mean of {requests} requests, one after the other. From the gateway's"
        " metrics and Triton's statistics of each model. `its Python, calls` is what the gateway"
        " waits for a stage beside its engines.",
        table(["part", "ms", "share"], rows),
    )
