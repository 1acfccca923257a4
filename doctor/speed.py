"""The table of benchmarks.gpu, in bounded time."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from doctor.device import visible_devices
from doctor.finding import Finding, good, unchecked, wrong

SUBJECT = "table"
LIMIT_S = 600.0
ROOT = Path(__file__).parents[1]


def look_at_speed(
    repository: Path | None, model: Path | None, device: str, limit_s: float = LIMIT_S
) -> Finding:
    """Run the benchmark, which prints its table. limit_s: after which it is ended.

    repository, model: those to measure; without both, on a GPU random weights in full size, on a
    CPU the demo model.
    """
    if not (ROOT / "benchmarks").is_dir() or find_spec("skimage") is None:
        return unchecked(
            SUBJECT,
            "benchmarks.gpu needs a checkout of the sources, in which `make venv-test` has run.",
        )
    with tempfile.TemporaryDirectory(prefix="upscale-doctor-") as folder:
        command = [sys.executable, "-m", "benchmarks.gpu", folder]
        command += arguments(repository, model, device)
        return outcome(command, device, limit_s)


def arguments(repository: Path | None, model: Path | None, device: str) -> list[str]:
    """Of benchmarks.gpu, so that it ends soon."""
    chosen = ["--turns", "1", "--images", "2", "--no-compiled"]
    if device == "cpu":
        chosen.append("--tiny")
    if repository is not None and model is not None:
        chosen += ["--model", str(model), "--repository", str(repository)]
    return chosen


def outcome(command: Sequence[str], device: str, limit_s: float) -> Finding:
    """How the command ended; what it started ends with it."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible_devices(device)},
        start_new_session=True,
    )
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        again = shlex.join(["python", *command[1:3], "FOLDER", *command[4:]])
        return unchecked(
            SUBJECT,
            f"It was not there after {limit_s:.0f} s. By itself it may take longer: {again}",
        )
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status != 0:
        return wrong(SUBJECT, f"benchmarks.gpu ended with {status}; its words stand above.")
    return good(SUBJECT, f"It stands above; it took {time.monotonic() - began:.0f} s.")
