"""Who watches a request sees its steps and previews, and gets the same picture."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from httpx_sse import ServerSentEvent, connect_sse
from PIL import Image

from tests.photographs import file_of, photograph
from tests.server import Server, wait_until

SIDE = 64
SMALL = file_of(photograph("cat", SIDE, SIDE))


@contextmanager
def watched(server: Server, image: bytes, **fields: Any) -> Iterator[Iterator[ServerSentEvent]]:
    """The events of a request, as they come."""
    data = {"prompt": "a photo", **{key: str(value) for key, value in fields.items()}}
    with (
        httpx.Client(timeout=120, trust_env=False) as client,
        connect_sse(
            client, "POST", f"{server.url}/upscale", files={"image": image}, data=data
        ) as source,
    ):
        assert source.response.status_code == 200
        yield source.iter_sse()


def watch(server: Server, image: bytes, **fields: Any) -> list[tuple[str, Any]]:
    with watched(server, image, **fields) as events:
        return [(sent.event, sent.json()) for sent in events]


def content_of(url: str) -> bytes:
    return base64.b64decode(url.split(",", 1)[1])


def test_every_step_and_the_same_picture(server: Server) -> None:
    expected = server.upscale(SMALL, seed=3, num_inference_steps=20)
    events = watch(server, SMALL, seed=3, num_inference_steps=20)
    steps = [data["step"] for kind, data in events if kind == "progress"]
    assert steps == list(range(1, 21))
    tiles = [(data["tile"], data["tiles"]) for kind, data in events if kind == "decoding"]
    assert tiles == [(0, 1), (1, 1)]
    previews = [content_of(data["url"]) for kind, data in events if kind == "preview"]
    assert len(previews) == 4
    for preview in previews:
        picture = Image.open(io.BytesIO(preview))
        assert (picture.format, picture.size) == ("JPEG", (2 * SIDE, 2 * SIDE))
    kind, result = events[-1]
    assert kind == "result"
    assert content_of(result["images"][0]["url"]) == expected


def test_the_preview_becomes_the_picture(demo_server: Server) -> None:
    events = watch(demo_server, SMALL, seed=3, num_inference_steps=20)
    [*_, last] = [content_of(data["url"]) for kind, data in events if kind == "preview"]
    result = content_of(events[-1][1]["images"][0]["url"])
    size = (2 * SIDE, 2 * SIDE)
    preview, picture = (
        np.asarray(Image.open(io.BytesIO(file)).convert("RGB").resize(size, Image.Resampling.BOX))
        for file in (last, result)
    )
    assert np.abs(preview.astype(float) - picture).mean() < 12


def test_who_stops_watching_stops_the_work(server: Server) -> None:
    image = file_of(photograph("coffee", 256, 256))  # large, so that a step takes its time
    cancelled = server.metric("upscale_denoise_jobs_total", outcome="cancelled")
    with watched(server, image, num_inference_steps=1000) as events:
        next(event for event in events if event.event == "progress")
        calls = server.metric("upscale_denoise_unet_total", of="calls")
    wait_until(
        lambda: server.metric("upscale_denoise_jobs_total", outcome="cancelled") == cancelled + 1,
        20,
    )
    assert server.metric("upscale_denoise_unet_total", of="calls") - calls <= 5
    assert server.metric("upscale_denoise_jobs", state="active") == 0
