"""`POST /estimate` over a Triton that is a class, and the sentences of /upscale."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from gateway.telemetry.durations import timed
from gateway.triton.readiness import Readiness
from stages.request import BYTES_PER_PIXEL
from tests.gateway.test_app import CACHED, FakeTriton, post, run, watch

SMALL = {"width": 64, "height": 48, "num_inference_steps": 10}


async def estimate(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/estimate", json={**SMALL, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_what_is_known_without_a_picture() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        assert await estimate(client) == {
            "accepted": True,
            "reason": None,
            "unet_rows": 20,  # the model's guidance is 9
            "shallow_rows": 0,
            "tiles": 1,
            "tile_pixels": 64 * 48,
            "memory_bytes": BYTES_PER_PIXEL * 64 * 48 + 4 * 77 * 1024 * 4,
            "seconds": None,
            "output_width": 256,
            "output_height": 192,
        }
        assert (await estimate(client, guidance_scale=1, width=256))["unet_rows"] == 20
        assert (await estimate(client, num_inference_steps=0))["unet_rows"] == 150

    run(use)


def test_tiles_are_those_of_the_served_model() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        assert (await estimate(client, width=256, height=256))["tiles"] == 4
        triton.max_tile = 256
        whole = await estimate(client, width=256, height=256)
        assert (whole["tiles"], whole["tile_pixels"]) == (1, 256 * 256)
        triton.max_tile = 1024  # which a Triton of more memory takes
        assert "MEMORY_BUDGET_MB=512" in (await estimate(client))["reason"]

    run(use)


def test_after_the_first_picture_seconds_are_known_and_who_watches_is_told() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        assert (await watch(client))[0] == ("accepted", {"seconds": None})
        assert (await post(client)).status_code == 200
        assert (await estimate(client))["seconds"] > 0
        kind, data = (await watch(client))[0]
        assert kind == "accepted"
        assert data["seconds"] > 0

    async def timed_upscale(self: FakeTriton, *arguments: Any) -> Any:
        with timed("denoise"):
            return await upscale(self, *arguments)

    upscale = FakeTriton.upscale
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTriton, "upscale", timed_upscale)
        run(use)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001; at most 1000 are allowed."),
        ({"width": 2000, "height": 2000}, "which counts as 4000000; at most 1048576 are allowed."),
        ({"width": 100_000, "height": 1}, "a side of a webp file has at most 16383"),
        ({"width": 1024, "height": 1024}, "and there are 47 MB for large images"),
    ],
)
def test_what_would_be_refused_is_said_to_be(fields: dict[str, int], reason: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await estimate(client, output_format="webp", **fields)
        assert answer["accepted"] is False
        assert reason in answer["reason"]

    run(use, memory_budget_mb=76)


@pytest.mark.parametrize(("profile", "status"), [("livepeer", 500), ("http", 504)])
def test_what_was_too_slow_is_refused_with_a_number_before_any_of_it(
    profile: str, status: int
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.delay_s = 60
        answer = await post(client, num_inference_steps="10")
        assert answer.status_code == status, "nothing is known, so it is tried"
        assert "took longer than 0.2 s" in answer.json()["detail"]["msg"]
        tried, triton.delay_s = len(triton.inputs), 0
        answer = await post(client, num_inference_steps="75")
        assert answer.status_code == status
        message = answer.json()["detail"]["msg"]
        assert re.fullmatch(r"This server would take \d+ s or more for it, and 0 s .*", message)
        assert "retry-after" not in answer.headers
        assert len(triton.inputs) == tried
        told = await estimate(client, width=8, height=8, num_inference_steps=75)
        assert (told["accepted"], told["reason"]) == (False, message)
        assert (await post(client, num_inference_steps="1")).status_code == 200

    run(use, request_timeout_s=0.2, error_profile=profile)


def test_a_server_that_is_full_says_so() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.holds_requests = True
        held = asyncio.create_task(post(client))
        while len(triton.inputs) < 3:
            await asyncio.sleep(0.001)
        answer = await estimate(client)
        assert answer["accepted"] is False
        assert answer["reason"].startswith("insufficient capacity")
        held.cancel()

    run(use, max_in_progress=1, max_waiting=0)


def test_a_scheduler_counts_as_it_steps() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        plain, other = [
            await estimate(client, num_inference_steps=20, **named)
            for named in ({}, {"scheduler": "PNDM"})
        ]
        assert 20 * other["unet_rows"] == 21 * plain["unet_rows"]
        assert other["memory_bytes"] > plain["memory_bytes"]
        answer = await client.post("/estimate", json={**SMALL, "scheduler": "Heun"})
        assert answer.status_code == 400
        assert "this model has EulerDiscrete, PNDM." in answer.json()["detail"]["msg"]

    run(use)


def test_a_step_cache_counts_its_rows_and_its_memory() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        triton.model = CACHED
        await readiness.reach()
        plain, cached, own = [
            await estimate(client, **fields)
            for fields in ({"step_cache": 1}, {"step_cache": 4}, {})
        ]
        assert [it["unet_rows"] for it in (plain, cached, own)] == [20, 20, 20]
        # Of ten calls those of 0, 4, 8 and 9 are whole; of the operator's two, 0, 2, 4, 6, 8 and 9.
        assert [it["shallow_rows"] for it in (plain, cached, own)] == [0, 12, 8]
        features = 2 * 2 * 4 * 64 * 48  # of two rows
        assert cached["memory_bytes"] == own["memory_bytes"] == plain["memory_bytes"] + features

    run(use, step_cache=2)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"width": 8, "width": 9}', 400),
        (b'{"width": 8}', 422),
        (b'{"width": 0, "height": 8}', 422),
        (b'{"width": 131073, "height": 8}', 422),
        (b'{"width": 8, "height": 8, "guidance_scale": -1}', 422),
        (b" " * 65_537, 413),
    ],
)
def test_a_body_that_cannot_be_used(content: bytes, status: int) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        assert (await client.post("/estimate", content=content)).status_code == status

    run(use, error_profile="http")


def test_before_a_model_is_served_nothing_is_estimated() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        assert (await client.post("/estimate", json=SMALL)).status_code == 503

    run(use, error_profile="http")


def test_fit_is_estimated_as_it_will_be_worked_on() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        large = {"width": 4000, "height": 3000}
        assert "at most 1048576" in (await estimate(client, **large))["reason"]
        told = await estimate(client, **large, fit=True)
        assert told["accepted"]
        assert (told["output_width"], told["output_height"]) == (4728, 3544)
        too_large = await estimate(client, width=8000, height=6000, fit=True)
        assert "at most" in too_large["reason"]

    run(use)
