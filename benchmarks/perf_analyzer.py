"""NVIDIA's perf_analyzer: where it is, one run of it, what it measured."""

import csv
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tensors import Tensors, write_input_data

FOLDER = Path(__file__).parent.parent / ".perf_analyzer"  # of `make perf-analyzer`
TIMEOUT_S = 600
# Three windows of so many requests, a second each at least, taken together however they differ.
# With --request-count its throughput would be of whole seconds; in windows of a given time a slow
# server would end no request.
WINDOWS = ["--measurement-mode", "count_windows", "--stability-percentage", "999"]


class PerfAnalyzerError(Exception):
    """It is not there or has failed; the message says why."""


@dataclass(frozen=True)
class Load:
    """Of at least 3 * requests.

    concurrency: requests in flight; or else rate: requests a second, as a Poisson process.
    """

    requests: int
    concurrency: int | None = None
    rate: float | None = None

    @property
    def options(self) -> list[str]:
        if self.concurrency is not None:
            return ["--concurrency-range", str(self.concurrency)]
        assert self.rate is not None
        # Without its end, a range that begins below 1 is taken for one of many rates.
        span = f"{self.rate:.4g}:{self.rate:.4g}:1"
        return ["--request-rate-range", span, "--request-distribution", "poisson"]


@dataclass(frozen=True)
class Measured:
    """throughput: requests a second. queue_s, compute_s: of the model itself, for a request."""

    throughput: float
    p50_s: float
    p90_s: float
    p99_s: float
    queue_s: float
    compute_s: float


def find() -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs. Raises PerfAnalyzerError without it."""
    on_path = shutil.which("perf_analyzer")
    if on_path:
        return Path(on_path), dict(os.environ)
    program = FOLDER / "bin" / "perf_analyzer"
    if not program.is_file():
        raise PerfAnalyzerError(
            "perf_analyzer is not on PATH; `make perf-analyzer` installs it where this finds it."
        )
    libraries = [str(FOLDER / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return program, {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries))}


def measure(url: str, model: str, tensors: Tensors, load: Load, *, streams: bool) -> Measured:
    """One run over gRPC. streams: for a decoupled model. Raises PerfAnalyzerError."""
    program, environment = find()
    with tempfile.TemporaryDirectory() as name:
        data, report = Path(name, "inputs.json"), Path(name, "report.csv")
        write_input_data(data, tensors)
        command = [str(program), "-m", model, "-u", url, "-i", "grpc", "--input-data", str(data)]
        command += [*load.options, *WINDOWS, "--measurement-request-count", str(load.requests)]
        command += ["-f", str(report), *(["--streaming", "--async"] if streams else [])]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if ended.returncode != 0 or not report.is_file():
            raise PerfAnalyzerError(
                f"perf_analyzer failed on {model}: {reason(ended.stdout + ended.stderr)}"
            )
        return read(report)


def reason(said: str) -> str:
    """The lines that a person needs; behind an error in its options it prints its whole manual."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return " ".join((errors or lines or ["it said nothing."])[:3])


def read(report: Path) -> Measured:
    """The one row of its CSV, whose times are microseconds."""
    with report.open() as file:
        [row] = csv.DictReader(file)
    seconds = {name: float(value) / 1e6 for name, value in row.items() if value}
    compute = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
    return Measured(
        throughput=float(row["Inferences/Second"]),
        p50_s=seconds["p50 latency"],
        p90_s=seconds["p90 latency"],
        p99_s=seconds["p99 latency"],
        queue_s=seconds["Server Queue"],
        compute_s=sum(seconds[name] for name in compute),
    )
