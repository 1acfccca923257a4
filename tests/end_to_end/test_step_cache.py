"""Requests with a step cache through the whole server, against the same rule in diffusers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from playwright.sync_api import expect

from tests.end_to_end.page import Open, choose, submit
from tests.end_to_end.test_ensemble import infer
from tests.end_to_end.test_parity import pad, pipeline_of
from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server

FIELDS: dict[str, Any] = {"prompt": "a cat: 42%", "negative_prompt": "blurry", "noise_level": 30}
# Interval, steps, guidance scale and size; the last one is of two tiles.
CASES = [
    (3, 7, 9.0, (37, 29)),
    (2, 6, 1.0, (40, 32)),
    (5, 9, 9.0, (40, 32)),
    (2, 4, 1.0, (168, 16)),
]


@pytest.fixture(scope="module")
def cached(servers: Callable[[str], Server]) -> Server:
    """A server of a model that was exported with a step cache."""
    return servers("wide")


def upscaled(
    server: Server, interval: int, steps: int, scale: float, size: tuple[int, int]
) -> bytes:
    fields = {"seed": 7, "safety_check": False, "num_inference_steps": steps, **FIELDS}
    image = file_of(photograph("cat", *size))
    return server.upscale(image, step_cache=interval, guidance_scale=scale, **fields)


@contextmanager
def reusing(unet: Any, interval: int, steps: int) -> Iterator[None]:
    """Between calls that are whole, what comes to the last up layer from below is the last such's.

    Of a `UNet2DConditionModel` that is called once a step. All else is computed in vain.
    """
    last = unet.up_blocks[-1].resnets[-1]
    channels = last.in_channels - unet.conv_in.out_channels
    kept: list[torch.Tensor] = []
    calls = 0

    def reuse(_: Any, inputs: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        nonlocal calls
        joined, embedding = inputs
        if calls % interval == 0 or calls == steps - 1:
            kept[:] = [joined[:, :channels]]
        calls += 1
        return torch.cat([kept[0], joined[:, channels:]], dim=1), embedding

    hook = last.register_forward_pre_hook(reuse)
    try:
        yield
    finally:
        hook.remove()
    assert calls == steps


def by_diffusers(
    checkpoint: Path, interval: int, steps: int, scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    pipeline = pipeline_of(checkpoint)
    with reusing(pipeline.unet, interval, steps):
        output = pipeline(
            image=pad(photograph("cat", *size)),
            generator=torch.Generator().manual_seed(7),
            num_inference_steps=steps,
            guidance_scale=scale,
            **FIELDS,
        )
    return np.asarray(output.images[0])[: 4 * size[1], : 4 * size[0]]


def test_pixels_are_those_of_the_same_rule_in_diffusers_alone_and_in_company(
    cached: Server, checkpoints: Callable[[str], Path]
) -> None:
    rows = shallow_rows(cached)
    with ThreadPoolExecutor(len(CASES)) as pool:
        together = list(pool.map(lambda case: upscaled(cached, *case), CASES))
    assert shallow_rows(cached) - rows == 2 * 4 + 2 + 2 * 6 + 2 * 1, "of calls 1, 2, 4, 5; of 1, 3"
    for case, result in zip(CASES, together, strict=True):
        assert upscaled(cached, *case) == result, case
    for case, result in zip(CASES[:3], together, strict=False):  # diffusers has no tiles
        expected = by_diffusers(checkpoints("wide"), *case)
        assert np.abs(pixels_of(result).astype(int) - expected).max() <= 1, case
    whole = by_diffusers(checkpoints("wide"), 1, *CASES[0][1:])
    assert np.abs(whole.astype(int) - pixels_of(together[0])).max() > 1, "else it proves nothing"


def shallow_rows(server: Server) -> int:
    return int(server.metric("upscale_denoise_unet_total", of="shallow_rows"))


def test_the_ensemble_takes_a_step_cache_too(cached: Server) -> None:
    image = photograph("rocket", 40, 32)
    fields: dict[str, Any] = {"num_inference_steps": 6, "step_cache": 3, "safety_check": False}
    result = infer(cached, np.asarray(image), **fields)
    expected = pixels_of(cached.upscale(file_of(image), seed=7, prompt="a photo", **fields))
    assert np.array_equal(result.as_numpy("upscaled"), expected)


def test_a_model_says_whether_it_has_one_and_without_it_is_told_how_to_get_it(
    cached: Server, server: Server
) -> None:
    assert cached.get("/model").json()["has_step_cache"] is True
    assert server.get("/model").json()["has_step_cache"] is False
    image = file_of(photograph("cat", 16, 16))
    response = server.post(image, step_cache=2)
    assert response.status_code == 400
    assert "`upscale export --step-cache 0` writes" in response.json()["detail"]["msg"]
    for wrong in (0, 1001):
        response = cached.post(image, step_cache=wrong)
        assert response.status_code == 400
        assert "from 1, which is off, to 1000" in response.json()["detail"]["msg"]


def test_a_step_cache_is_offered_where_there_is_one(
    cached: Server, server: Server, open_page: Open
) -> None:
    """And sent, so that its cheap rows are in the forecast and in the counts."""
    page = open_page(cached)
    choose(page, 4)
    with page.expect_request("**/estimate") as asked:
        page.get_by_label("Step cache").fill("3")
    assert '"step_cache":3' in (asked.value.post_data or "")
    rows = cached.metric("upscale_denoise_unet_total", of="shallow_rows")
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    assert cached.metric("upscale_denoise_unet_total", of="shallow_rows") == rows + 2 * 2
    other = open_page(server)
    choose(other, 4)
    expect(other.get_by_label("Step cache")).to_be_hidden()
