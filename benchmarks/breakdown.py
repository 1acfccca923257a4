"""`upscale bench request`: where the time of one request goes."""

import json
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import InferenceServerClient

from benchmarks.section import section, table
from benchmarks.server import ROOT, UpscaleServer
from benchmarks.stage_profile import BLS, FOLDER, OUTSIDE, WAITING
from benchmarks.statistics import ModelTimes, statistics
from export.manifest import record

STAGES = {
    "encode": ("text_encoder",),
    "denoise": ("unet",),
    "decode": ("vae_decoder", "safety_checker"),
}
UNET = "unet: compute"  # where denoise runs it itself, and as Triton's statistics name it
# What functions of the stages do; one that is not named here stands under its own name.
PURPOSES = {
    "PromptTokens.__call__": "tokens",
    "Job.__init__": "noise, latents",
    "preprocess": "noise, latents",
    "OnnxEngine.__call__.<locals>.<lambda>": UNET,
    "AotiEngine.call": UNET,
    "unet_inputs": "the UNet's inputs",
    "guide": "guidance",
    "Job.add": "blending",
    "step": "scheduler",
    "Job.advance": "scheduler",
    "ClipPixels.__call__": "the safety checker's input",
    "Mosaic.add": "pixels",
}
SMALLEST = 0.0005  # of the whole; smaller functions of a stage stand together
PROFILED = """

from benchmarks.stage_profile import profiled

TritonPythonModel = profiled(TritonPythonModel)
"""


@dataclass(frozen=True)
class Snapshot:
    """Everything that is counted, since the start. client_s: of requests sent so far.

    gateway: seconds by part, "" for the whole. functions: seconds by stage and function.
    """

    client_s: float
    gateway: dict[str, float]
    triton: dict[str, ModelTimes]
    functions: dict[str, dict[str, float]]


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


def measure(repository: Path, image: bytes, fields: dict[str, str], requests: int) -> Breakdown:
    """The mean of requests that are sent one after the other to a server of our own."""
    with tempfile.TemporaryDirectory() as name:
        copy, reports = Path(name, "repository"), Path(name, "reports")
        reports.mkdir()
        profile_stages(repository, copy)
        environment = {FOLDER: str(reports), "PYTHONPATH": str(ROOT)}
        with UpscaleServer(copy, **environment) as server, connected(server) as client:
            client_s = 0.0
            send(server, image, fields)  # the first is slower
            before = snapshot(server, client, reports, client_s)
            for _ in range(requests):
                client_s += send(server, image, fields)
            after = snapshot(server, client, reports, client_s)
    return explained(before, after, requests)


def profile_stages(repository: Path, copy: Path) -> None:
    """A copy of the repository, of links where they can be, whose stages count their time."""
    shutil.copytree(repository, copy, copy_function=link)
    for stage in STAGES:
        path = copy / stage / "1" / "model.py"
        source = path.read_text()
        path.unlink()  # it may be the repository's own file
        path.write_text(source + PROFILED)
    record(copy)


def link(source: str, target: str) -> None:
    """Hard, since engines can be large; a copy where the file system has no such link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def connected(server: UpscaleServer) -> Iterator[InferenceServerClient]:
    """Triton's own API."""
    with InferenceServerClient(server.triton_url) as client:
        yield client


def send(server: UpscaleServer, image: bytes, fields: dict[str, str]) -> float:
    """One request, which must succeed; seconds until its last byte."""
    with httpx.Client(base_url=server.url, timeout=None, trust_env=False) as client:  # noqa: S113
        client.get("/livez")  # connects
        began = time.perf_counter()
        client.post("/upscale", files={"image": image}, data=fields).raise_for_status()
        return time.perf_counter() - began


def snapshot(
    server: UpscaleServer, client: InferenceServerClient, reports: Path, client_s: float
) -> Snapshot:
    """Between two requests."""
    gateway = {}
    metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "upscale_part_duration_seconds_sum":
                gateway[sample.labels["part"]] = sample.value
            if sample.name == "upscale_request_duration_seconds_sum":
                gateway[""] = sample.value
    functions: dict[str, dict[str, float]] = {stage: defaultdict(float) for stage in STAGES}
    for stage, seconds in functions.items():
        for path in reports.glob(f"{stage}-*.json"):  # one of each instance
            for name, value in json.loads(path.read_text()).items():
                seconds[name] += value
    return Snapshot(client_s, gateway, statistics(client), functions)


def explained(before: Snapshot, after: Snapshot, requests: int) -> Breakdown:
    """What came to it between both, for one request."""
    gateway = {
        part: (value - before.gateway.get(part, 0.0)) / requests
        for part, value in after.gateway.items()
    }
    triton = {name: (after.triton[name] - before.triton[name]) / requests for name in after.triton}
    whole_s = (after.client_s - before.client_s) / requests
    parts = [Part("HTTP", "client and connection", whole_s - gateway.pop(""))]
    for part, seconds in gateway.items():
        if part not in STAGES:
            parts.append(Part("gateway", part, seconds))
            continue
        functions = {
            name: (value - before.functions[part].get(name, 0.0)) / requests
            for name, value in after.functions[part].items()
        }
        parts += of_stage(part, seconds, triton, functions, SMALLEST * whole_s)
    return Breakdown(whole_s, parts)


def of_stage(
    stage: str,
    part_s: float,
    triton: dict[str, ModelTimes],
    functions: dict[str, float],
    smallest_s: float,
) -> Iterator[Part]:
    """The parts of a stage; part_s: what the gateway waited for it.

    gRPC is what Triton does not know of. denoise answers after its `execute`, so Triton knows
    nothing there.
    """
    own = triton[stage]
    if stage != "denoise":
        yield Part(stage, "gRPC", part_s - own.request_s)
        yield Part(stage, "Triton: queue, copies", own.queue_s + own.input_s + own.output_s)
    called_s = 0.0
    for engine in STAGES[stage]:
        if engine in triton and triton[engine].requests:
            times = triton[engine]
            yield Part(stage, f"{engine}: compute", times.infer_s)
            copies_s = times.queue_s + times.input_s + times.output_s
            yield Part(stage, f"{engine}: queue, copies", copies_s)
            called_s += times.request_s
    yield Part(stage, "BLS", functions.get(BLS, 0.0) - called_s)  # none where denoise runs its own
    purposes: dict[str, float] = defaultdict(float)
    for name, seconds in functions.items():
        if name not in (BLS, WAITING, OUTSIDE):
            purpose = PURPOSES.get(name, name)
            purposes[purpose if seconds > smallest_s or name in PURPOSES else "other"] += seconds
    for purpose, seconds in sorted(purposes.items(), key=lambda item: -item[1]):
        yield Part(stage, purpose, seconds)


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
        " metrics, Triton's statistics of each model, and a profile of the Python stages from"
        " within (`benchmarks/stage_profile.py`). `BLS` is what an engine's call takes beside"
        " Triton's own count of it; `gRPC` what the gateway waits beside Triton's count.",
        table(["part", "ms", "share"], rows),
    )
