"""Triton ends soon, whatever it was asked before."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedded.triton import Triton
from gateway.errors import TritonFailed
from gateway.triton.client import Decoding, Progress, TritonClient, UpscaleInputs
from gateway.triton.served_model import ServedModel

STEPS = 3
MODEL = ServedModel("narrow", 75, 1.0, 20, 350, has_safety_checker=False, prompt_has_effect=False)
INPUTS = UpscaleInputs(
    MODEL, np.zeros((8, 8, 3), np.uint8), "", "", 0, STEPS, 1.0, 20, safety_check=False
)


async def make_pictures(url: str, count: int) -> None:
    client = TritonClient(url)
    for _ in range(600):  # until it serves
        with contextlib.suppress(TritonFailed):
            await client.upscale(INPUTS, 60)
            break
        await asyncio.sleep(0.1)
    for number in range(count):
        stop = asyncio.Event()

        def on_progress(progress: Progress | Decoding, stop: asyncio.Event = stop) -> None:
            if isinstance(progress, Progress) and progress.step == 1:
                stop.set()

        goes_away = number % 4 == 0
        # Far from its answer: who goes away just when that is sent does leave something behind.
        inputs = replace(INPUTS, num_inference_steps=1000) if goes_away else INPUTS
        picture = asyncio.ensure_future(client.upscale(inputs, 60, on_progress))
        if goes_away:
            await stop.wait()
            picture.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await picture
    await client.close()


def test_it_ends_by_itself_after_many_requests(
    repositories: Callable[[str], Path], tmp_path: Path
) -> None:
    """A stream that was cancelled after its answer kept it from ending, half a minute long."""
    log = tmp_path / "log"
    with Triton(repositories("narrow"), log) as triton:
        asyncio.run(make_pictures(triton.url, 100))
    assert "Exit timeout expired" not in log.read_text()
