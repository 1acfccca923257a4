"""One picture of Triton's stages against diffusers' own, on the device that was asked for."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from doctor.apart import Failed, apart
from doctor.device import visible_devices
from doctor.finding import Finding, good, unchecked, wrong
from gateway.errors import TritonFailed, TritonRefused
from gateway.triton.client import TritonClient, UpscaleInputs
from gateway.triton.served_model import ServedModel
from stages.machine import MANIFEST, is_verified_on_cpu

SUBJECT = "picture"
SIDE, STEPS, SEED, GUIDANCE_SCALE, NOISE_LEVEL, PROMPT = 64, 10, 0, 9.0, 20, "a photo"
MOST_APART = 1  # of 255, in float32
# Half precision against half precision, by other kernels; in float32 on a CPU it is above 50.
MIN_PSNR_DB = 30.0
START_TIMEOUT_S = REQUEST_TIMEOUT_S = 300.0
START_INTERVAL_S = 0.5


def look_at_picture(repository: Path, model: Path | None, device: str) -> Finding:
    """model: the diffusers folder that the repository was exported from."""
    if find_spec("pytriton") is None or find_spec("embedded") is None:
        return unchecked(
            SUBJECT,
            "There is no Triton of the wheel here to make one. In a checkout of the sources `make"
            " venv` installs it.",
        )
    if model is None:
        return unchecked(
            SUBJECT,
            "There is nothing to compare with. Name the diffusers folder that the repository was"
            " exported from: --model.",
        )
    if device != "cpu" and is_verified_on_cpu(repository):
        return wrong(
            SUBJECT,
            "`upscale serve` would run these engines on the CPU, where the export has verified"
            " them. Put onnxruntime-gpu in the place of onnxruntime (the extra `gpu`) and export"
            " again.",
        )
    engines = json.loads((repository / MANIFEST).read_text())["engines"].values()
    is_exact = all(entry["precision"] == "fp32" for entry in engines)
    try:
        ours = apart(served_picture, repository, device)
        expected = apart(diffusers_picture, model, device, is_exact=is_exact)
    except Failed as error:
        return wrong(SUBJECT, f"None was made on {device}: {error}.")
    return compare(ours, expected, device, is_exact=is_exact)


def served_picture(repository: Path, device: str) -> NDArray[np.uint8]:
    """Triton's, uint8 [4 SIDE, 4 SIDE, 3]. Raises TritonError and TritonFailed."""
    from embedded.triton import Triton  # noqa: PLC0415 - no image has it

    os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices(device)  # Triton's; of this process alone
    descriptor, log = tempfile.mkstemp(prefix="upscale-triton-", suffix=".log")
    os.close(descriptor)
    with Triton(repository, Path(log)) as triton:
        try:
            picture = asyncio.run(_picture_of(triton.url, lambda: triton.ended() is None))
        except TritonFailed as error:
            if triton.ended() is not None:
                raise triton.failure() from error
            raise RuntimeError(f"{error.__cause__} (Triton's log is {log})") from error
    Path(log).unlink()  # kept when something went wrong
    return picture


async def _picture_of(url: str, is_running: Callable[[], bool]) -> NDArray[np.uint8]:
    client = TritonClient(url)
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while True:
            try:
                inputs = inputs_of(await client.served_model())
                return (await client.upscale(inputs, REQUEST_TIMEOUT_S)).image
            except TritonRefused:  # it is loading
                if time.monotonic() > deadline or not is_running():
                    raise
            await asyncio.sleep(START_INTERVAL_S)
    finally:
        await client.close()


def inputs_of(model: ServedModel) -> UpscaleInputs:
    """The request, as the gateway sends it."""
    return UpscaleInputs(
        model=model,
        image=np.asarray(blots()),
        prompt=PROMPT,
        negative_prompt="",
        seed=SEED,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        noise_level=NOISE_LEVEL,
        safety_check=False,
    )


def diffusers_picture(model: Path, device: str, *, is_exact: bool) -> NDArray[np.uint8]:
    """diffusers' of the same request, uint8 [4 SIDE, 4 SIDE, 3].

    is_exact: float32 without TF32; else float16 on a GPU, as diffusers is used there.
    """
    from diffusers import StableDiffusionUpscalePipeline  # noqa: PLC0415 - takes seconds

    torch.backends.cudnn.allow_tf32 = False
    dtype = torch.float32 if is_exact or device == "cpu" else torch.float16
    pipeline: Any = StableDiffusionUpscalePipeline.from_pretrained(
        model, dtype=dtype, safety_checker=None, local_files_only=True
    )
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=PROMPT,
        image=blots(),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        noise_level=NOISE_LEVEL,
        generator=torch.Generator().manual_seed(SEED),
    )
    return np.asarray(output.images[0])


def blots() -> Image.Image:
    """RGB, SIDE x SIDE: soft blots, the same at every call."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def compare(
    ours: NDArray[np.uint8], expected: NDArray[np.uint8], device: str, *, is_exact: bool
) -> Finding:
    """Two pictures of one request."""
    if ours.shape != expected.shape:
        return wrong(SUBJECT, f"Triton's has shape {ours.shape}, diffusers' {expected.shape}.")
    largest = int(np.abs(ours.astype(int) - expected).max())
    decibels = psnr(ours, expected)
    found = (
        f"Triton's and diffusers' on {device} are {largest} of 255 apart at most"
        f" ({decibels:.1f} dB)"
    )
    if largest <= MOST_APART if is_exact else decibels >= MIN_PSNR_DB:
        return good(SUBJECT, f"{found}.")
    allowed = f"at most {MOST_APART}" if is_exact else f"{MIN_PSNR_DB:g} dB at least"
    return wrong(
        SUBJECT,
        f"{found}; it must be {allowed}. Do not serve this: `upscale export --check` names the"
        " engine that is too far off.",
    )


def psnr(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    """Of two pictures, dB; infinite for equal ones."""
    error = np.square(left.astype(float) - right).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
