"""The contenders of benchmarks/gpu.py: what each does with a task, and what is measured of it."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pynvml
import torch
from diffusers import StableDiffusionUpscalePipeline
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photograph import photograph, png
from benchmarks.server import UpscaleServer

EAGER, COMPILED, OURS = "diffusers", "compiled", "ours"
CONCURRENCIES = (1, 2, 4, 8)  # of ours; diffusers takes one request at a time
PROMPT = "a photo"
SAMPLE_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Task:
    """What every contender does: `images` images of side x side pixels at each concurrency."""

    model: Path
    repository: Path
    side: int
    steps: int
    images: int
    guidance_scale: float
    noise_level: int
    seed: int = 0

    @property
    def image(self) -> Image.Image:
        return photograph(None, self.side, self.side)


@dataclass(frozen=True)
class Load:
    """At one concurrency: seconds of every image, and of all together."""

    seconds: list[float]
    together_s: float


@dataclass(frozen=True)
class Result:
    """picture: uint8 [4 side, 4 side, 3]. loads: by concurrency.

    step_ms: of one step, by the fastest images of many and of one. peak_bytes: of GPU memory beyond
    what was taken before; None without a GPU.
    """

    picture: NDArray[np.uint8]
    first_s: float
    step_ms: float
    loads: dict[int, Load]
    peak_bytes: int | None


Upscale = Callable[[int], bytes]  # number of steps -> the PNG file


def run(name: str, task: Task) -> Result:
    """One contender's turn, in a process that has done nothing else."""
    with peak_memory() as peak_bytes:
        if name == OURS:
            with UpscaleServer(task.repository) as server:
                return measure(server_upscale(task, server), task, CONCURRENCIES, peak_bytes)
        upscale = diffusers_upscale(task, is_compiled=name == COMPILED)
        return measure(upscale, task, (1,), peak_bytes)


def measure(
    upscale: Upscale,
    task: Task,
    concurrencies: tuple[int, ...],
    peak_bytes: Callable[[], int | None],
) -> Result:
    """Warm up, then time."""

    def timed(steps: int) -> float:
        began = time.perf_counter()
        upscale(steps)
        return time.perf_counter() - began

    first_s = timed(task.steps)
    picture = np.asarray(Image.open(io.BytesIO(upscale(task.steps))).convert("RGB"))
    one_step_s = min(timed(1) for _ in range(3))
    loads = {}
    for concurrency in concurrencies:
        began = time.perf_counter()
        with ThreadPoolExecutor(concurrency) as pool:
            seconds = list(pool.map(timed, [task.steps] * task.images * concurrency))
        loads[concurrency] = Load(seconds, time.perf_counter() - began)
    step_s = (min(loads[1].seconds) - one_step_s) / max(1, task.steps - 1)
    return Result(picture, first_s, 1000 * step_s, loads, peak_bytes())


def diffusers_upscale(task: Task, *, is_compiled: bool) -> Upscale:
    """As ai-runner calls it: one image at a time.

    The generator is on the CPU, so that the same seed gives the same noise everywhere.
    """
    pipeline = load_pipeline(task.model)
    if is_compiled:  # as diffusers' documentation says
        mode = "max-autotune" if torch.cuda.is_available() else "default"
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.unet = torch.compile(pipeline.unet, mode=mode, fullgraph=True)
        pipeline.vae.decode = torch.compile(pipeline.vae.decode, mode=mode, fullgraph=True)

    def upscale(steps: int) -> bytes:
        return png(
            pipeline(
                prompt=PROMPT,
                image=task.image,
                num_inference_steps=steps,
                guidance_scale=task.guidance_scale,
                noise_level=task.noise_level,
                generator=torch.Generator().manual_seed(task.seed),
            ).images[0]
        )

    return upscale


def load_pipeline(model: Path) -> Any:
    """diffusers' pipeline of a folder; on a GPU, if there is one, in half precision."""
    has_gpu = torch.cuda.is_available()
    dtype = torch.float16 if has_gpu else torch.float32
    pipeline: Any = StableDiffusionUpscalePipeline.from_pretrained(
        model, dtype=dtype, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if has_gpu else "cpu")


def server_upscale(task: Task, server: UpscaleServer) -> Upscale:
    """`POST /upscale`."""
    image = png(task.image)

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
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """The most memory of the first GPU taken in the block, beyond what was before, by NVML.

    Bytes; None without a GPU.
    """
    if not torch.cuda.is_available():
        yield lambda: None
        return
    pynvml.nvmlInit()
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    samples = [pynvml.nvmlDeviceGetMemoryInfo(device).used]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_INTERVAL_S):
            samples.append(pynvml.nvmlDeviceGetMemoryInfo(device).used)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield lambda: max(samples) - samples[0]
    finally:
        done.set()
        thread.join()
