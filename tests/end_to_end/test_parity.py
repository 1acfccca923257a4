"""What the whole server gives against what diffusers gives, pixel by pixel."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionUpscalePipeline
from PIL import Image

from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server


@cache
def pipeline_of(checkpoint: Path) -> Any:
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(checkpoint, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pad(image: Image.Image) -> Image.Image:
    """The picture with its last row and column repeated up to multiples of 8."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
    return Image.fromarray(pixels)


CASES = [
    (guidance_scale, *picture)
    for guidance_scale in (1.0, 9.0)
    for picture in (("astronaut", 64, 64), ("coffee", 80, 48), ("cat", 97, 61))
]


def wide(case: tuple[float, str, int, int]) -> Any:
    """The last case, which is guided and padded, stands for all in the short run."""
    return pytest.param("wide", *case, marks=[] if case == CASES[-1] else [pytest.mark.long])


@pytest.mark.parametrize(
    ("architecture", "guidance_scale", "name", "width", "height"),
    [*(("narrow", *case) for case in CASES), *map(wide, CASES)],
)
def test_pixels_are_those_of_diffusers(
    servers: Callable[[str], Server],
    checkpoints: Callable[[str], Path],
    architecture: str,
    guidance_scale: float,
    name: str,
    width: int,
    height: int,
) -> None:
    image = photograph(name, width, height)
    arguments = {
        "prompt": "A photo of something: 42%",
        "negative_prompt": "blurry",
        "num_inference_steps": 20,
        "guidance_scale": guidance_scale,
        "noise_level": 30,
    }
    output = pipeline_of(checkpoints(architecture))(
        image=pad(image), generator=torch.Generator().manual_seed(7), **arguments
    )
    expected = np.asarray(output.images[0])[: 4 * height, : 4 * width]

    fields = {"seed": 7, "safety_check": False, **arguments}  # not every model has a checker
    actual = pixels_of(servers(architecture).upscale(file_of(image), **fields))

    assert actual.shape == (4 * height, 4 * width, 3)
    assert np.abs(actual.astype(int) - expected).max() <= 1
    assert expected.std() > 10, "a flat picture would prove nothing"


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another"},
        {"negative_prompt": "another"},
        {"guidance_scale": 5},
        {"noise_level": 90},
        {"num_inference_steps": 6},
        {"seed": 8},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_reaches_the_picture(server: Server, change: dict[str, Any]) -> None:
    image = file_of(photograph("rocket", 32, 32))
    fields: dict[str, Any] = {"num_inference_steps": 5, "seed": 7, "guidance_scale": 9}
    assert server.upscale(image, **fields) != server.upscale(image, **{**fields, **change})
