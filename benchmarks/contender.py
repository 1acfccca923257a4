"""One contender of benchmarks/gpu.py, in a process of its own.

`python -m benchmarks.contender NAME TASK.json RESULT.json`. NAME: `eager`, `compile` or `ours`.
"""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pynvml
import torch
import typer
from diffusers import StableDiffusionUpscalePipeline
from PIL import Image

from tests.photographs import file_of, photograph
from tests.server import Server

PROMPT = "a photo"
SAMPLE_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Task:
    """What every contender does: `images` images of side x side pixels at each concurrency."""

    model: str
    repository: str
    side: int
    steps: int
    images: int
    concurrencies: tuple[int, ...]
    guidance_scale: float
    noise_level: int
    seed: int = 0

    @property
    def image(self) -> Image.Image:
        return photograph("astronaut", self.side, self.side)


@dataclass
class Load:
    """At one concurrency: seconds of every image, and of all together."""

    seconds: list[float]
    together_s: float


@dataclass
class Result:
    """loads: by concurrency. step_ms: of one step, by the fastest images of many and of one.

    peak_bytes: of GPU memory beyond what was taken before; None without a GPU.
    """

    picture: str
    step_ms: float
    first_s: float
    loads: dict[int, Load] = field(default_factory=dict)
    peak_bytes: int | None = None


Upscale = Callable[[int], bytes]  # number of steps -> the PNG file


def measure(upscale: Upscale, task: Task, concurrencies: tuple[int, ...], picture: Path) -> Result:
    """Warm up, then time."""

    def timed(steps: int) -> float:
        began = time.perf_counter()
        upscale(steps)
        return time.perf_counter() - began

    first_s = timed(task.steps)
    picture.write_bytes(upscale(task.steps))
    one = min(timed(1) for _ in range(3))
    result = Result(str(picture), 0.0, first_s)
    for concurrency in concurrencies:
        began = time.perf_counter()
        with ThreadPoolExecutor(concurrency) as pool:
            seconds = list(pool.map(timed, [task.steps] * task.images * concurrency))
        result.loads[concurrency] = Load(seconds, time.perf_counter() - began)
    whole = min(result.loads[1].seconds)
    result.step_ms = 1000 * (whole - one) / max(1, task.steps - 1)
    return result


def diffusers_upscale(task: Task, compiled: bool) -> Upscale:
    """As ai-runner calls it: one image at a time, half precision on a GPU, the VAE upcast.

    The generator is on the CPU, so that the same seed gives the same noise everywhere.
    """
    has_gpu = torch.cuda.is_available()
    dtype = torch.float16 if has_gpu else torch.float32
    pipeline: Any = StableDiffusionUpscalePipeline.from_pretrained(task.model, dtype=dtype)
    pipeline.to("cuda" if has_gpu else "cpu")
    pipeline.set_progress_bar_config(disable=True)
    if compiled:  # as diffusers' documentation says
        mode = "max-autotune" if has_gpu else "default"
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.unet = torch.compile(pipeline.unet, mode=mode, fullgraph=True)
        pipeline.vae.decode = torch.compile(pipeline.vae.decode, mode=mode, fullgraph=True)

    def upscale(steps: int) -> bytes:
        image = pipeline(
            prompt=PROMPT,
            image=task.image,
            num_inference_steps=steps,
            guidance_scale=task.guidance_scale,
            noise_level=task.noise_level,
            generator=torch.Generator().manual_seed(task.seed),
        ).images[0]
        file = io.BytesIO()
        image.save(file, "PNG")
        base64.b64encode(file.getvalue())
        return file.getvalue()

    return upscale


def server_upscale(task: Task, server: Server) -> Upscale:
    """`POST /upscale`."""
    image = file_of(task.image)

    def upscale(steps: int) -> bytes:
        return server.upscale(
            image,
            prompt=PROMPT,
            num_inference_steps=steps,
            guidance_scale=task.guidance_scale,
            noise_level=task.noise_level,
            seed=task.seed,
            safety_check=False,  # diffusers' pipeline has none
        )

    return upscale


@contextmanager
def peak_memory() -> Iterator[list[int | None]]:
    """The most GPU memory taken while a block runs, beyond what was before; bytes, by NVML."""
    peak: list[int | None] = [None]
    if not torch.cuda.is_available():
        yield peak
        return
    pynvml.nvmlInit()
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    before = pynvml.nvmlDeviceGetMemoryInfo(device).used
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_INTERVAL_S):
            used = pynvml.nvmlDeviceGetMemoryInfo(device).used - before
            peak[0] = max(peak[0] or 0, used)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def main(name: str, task_path: Path, result_path: Path) -> None:
    """Do the task and write what came of it."""
    values = json.loads(task_path.read_text())
    task = Task(**{**values, "concurrencies": tuple(values["concurrencies"])})
    picture = result_path.with_suffix(".png")
    with peak_memory() as peak:
        if name == "ours":
            with Server(Path(task.repository)) as server:
                upscale = server_upscale(task, server)
                result = measure(upscale, task, task.concurrencies, picture)
        else:
            upscale = diffusers_upscale(task, compiled=name == "compile")
            result = measure(upscale, task, (1,), picture)
    result.peak_bytes = peak[0]
    result_path.write_text(json.dumps(asdict(result), indent=2))


def psnr(left: Path, right: Path) -> float:
    """Of two pictures, dB; infinite for equal ones."""
    a, b = (np.asarray(Image.open(path).convert("RGB"), float) for path in (left, right))
    error = np.square(a - b).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


if __name__ == "__main__":
    typer.run(main)
