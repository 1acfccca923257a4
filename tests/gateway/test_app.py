"""The application over a Triton that is a class: what a real one cannot be made to do on cue."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from httpx_sse import EventSource

from gateway.app import create_app
from gateway.errors import InsufficientCapacity, TritonFailed
from gateway.settings import Settings
from gateway.triton.client import ModelStatistics, OnProgress, Progress, Upscaled, UpscaleInputs
from gateway.triton.pool import TritonPool
from gateway.triton.readiness import Readiness
from gateway.triton.served_model import DenoiseLimits, ServedModel
from stages.schedulers import Scheduler, Schedulers
from stages.step_cache import StepCache
from tests.photographs import file_of, photograph

IMAGE = file_of(photograph("cat", 8, 8))
PREVIEW = np.zeros((16, 16, 3), np.uint8)
SCHEDULERS = Schedulers((Scheduler("EulerDiscrete"), Scheduler("PNDM", history=3, extra_calls=1)))
MODEL = ServedModel(
    "model",
    75,
    9.0,
    20,
    350,
    has_safety_checker=False,
    prompt_has_effect=True,
    schedulers=SCHEDULERS,
)


CACHED = replace(MODEL, step_cache=StepCache(branch=0, channels=2, stride=1, cost=0.25))


class FakeTriton:
    """Answers with a black picture, or with what a test sets."""

    def __init__(self) -> None:
        self.inputs: list[UpscaleInputs] = []
        self.error: Exception | None = None
        self.model = MODEL
        self.model_error: Exception | None = None
        self.asked_for_model = 0
        self.delay_s = 0.0
        self.progress: Progress | None = None  # told before the delay
        self.is_frozen = False
        self.tiles = 1
        self.holds_requests = False  # but not trials
        self.is_closed = False
        self.max_tile = 160
        self.at_once = self.most_at_once = 0

    async def close(self) -> None:
        self.is_closed = True

    async def live(self) -> None:
        if self.is_frozen:
            await asyncio.Event().wait()

    async def statistics(self) -> list[ModelStatistics]:
        return [ModelStatistics("unet", rows=6, executions=4, compute_s=0.5, queue_s=0.1)]

    async def denoise_limits(self) -> DenoiseLimits:
        return DenoiseLimits(8, (77, 1024))

    async def served_model(self) -> ServedModel:
        self.asked_for_model += 1
        if self.model_error is not None:
            raise self.model_error
        return self.model

    async def upscale(
        self,
        inputs: UpscaleInputs,
        timeout_s: float,
        on_progress: OnProgress | None = None,
        preview_every: int = 0,
    ) -> Upscaled:
        assert timeout_s > 0
        self.inputs.append(inputs)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.progress is not None and on_progress is not None:
            on_progress(self.progress)
        await asyncio.sleep(self.delay_s)
        if self.holds_requests and inputs.num_inference_steps > 1:
            await asyncio.Event().wait()
        self.at_once -= 1
        steps = inputs.num_inference_steps * self.tiles
        for step in range(1, steps + 1 if on_progress else 1):
            assert on_progress is not None
            on_progress(Progress(step, steps, PREVIEW if step == 2 else None))
        if self.error is not None:
            raise self.error
        height, width = inputs.image.shape[:2]
        return Upscaled(np.zeros((4 * height, 4 * width, 3), np.uint8), nsfw=True)


Use = Callable[[httpx.AsyncClient, FakeTriton, Readiness], Awaitable[None]]


def run(use: Use, **settings: Any) -> None:
    async def main() -> None:
        triton = FakeTriton()
        pool = TritonPool(lambda _: triton, 3.0)  # type: ignore[arg-type, return-value]
        readiness = pool.add("triton:8001").readiness
        app = create_app(Settings(**settings), pool)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await use(client, triton, readiness)

    asyncio.run(main())


async def post(client: httpx.AsyncClient, accept: str = "*/*", **fields: str) -> httpx.Response:
    data = {"prompt": "x", "safety_check": "false", **fields}
    headers = {"Accept": accept}
    return await client.post("/upscale", files={"image": IMAGE}, data=data, headers=headers)


def test_nothing_is_served_before_the_first_picture() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/version")).json()["model_id"] == ""
        response = await post(client)
        assert response.status_code == 500
        assert "not being served now" in response.json()["detail"]["msg"]
        await readiness.reach()
        assert (await client.get("/health")).json() == {"status": "OK"}
        assert (await post(client)).status_code == 200

    run(use)


def test_readiness_waits_for_a_picture_not_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.triton.readiness.POLL_INTERVAL_S", 0.001)

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        triton.error = TritonFailed()
        reaching = asyncio.create_task(readiness.reach())
        while len(triton.inputs) < 3:
            await asyncio.sleep(0.001)
        assert (await client.get("/health")).status_code == 503
        triton.error = None
        await reaching
        assert (await client.get("/health")).status_code == 200

    run(use)


def test_defaults_of_the_model_are_filled_in() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        response = await post(client, num_inference_steps="-1")
        assert response.json()["images"][0]["nsfw"] is True
        inputs = triton.inputs[-1]
        filled = (inputs.num_inference_steps, inputs.guidance_scale, inputs.noise_level)
        assert filled == (75, 9.0, 20)
        await post(client, guidance_scale="0", noise_level="0", seed="0")
        inputs = triton.inputs[-1]
        assert (inputs.guidance_scale, inputs.noise_level, inputs.seed) == (0, 0, 0)

    run(use)


@pytest.mark.parametrize(
    ("model", "fields", "taken"),
    [
        (CACHED, {}, 3),
        (CACHED, {"step_cache": "1"}, 1),
        (CACHED, {"step_cache": "5"}, 5),
        (MODEL, {}, 1),
        (MODEL, {"step_cache": "1"}, 1),
    ],
)
def test_a_step_cache_is_the_operators_unless_a_request_has_its_own(
    model: ServedModel, fields: dict[str, str], taken: int
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        triton.model = model
        await readiness.reach()
        assert (await post(client, **fields)).status_code == 200
        assert triton.inputs[-1].step_cache == taken
        told = (await client.get("/model")).json()
        assert (told["has_step_cache"], told["step_cache"]) == (
            (True, 3) if model is CACHED else (False, 1)
        )

    run(use, step_cache=3)


def test_a_step_cache_that_there_is_not_is_a_400_that_says_how_to_export() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answers = [
            await post(client, step_cache="2"),
            await client.post("/estimate", json={"width": 8, "height": 8, "step_cache": 2}),
        ]
        for answer in answers:
            assert answer.status_code == 400
            assert "`upscale export --step-cache 0` writes" in answer.json()["detail"]["msg"]

    run(use)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InsufficientCapacity(), "insufficient capacity"),
        (TritonFailed(), "The upscaling backend failed"),
        (ZeroDivisionError("inside"), "failed unexpectedly"),
    ],
)
def test_failures_are_500_and_tell_nothing_of_the_inside(error: Exception, message: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.error = error
        response = await post(client)
        assert response.status_code == 500
        assert message in response.json()["detail"]["msg"]
        assert "inside" not in response.text
        if isinstance(error, InsufficientCapacity):
            assert response.headers["retry-after"] == "5"

    run(use)


def test_a_request_that_takes_too_long_is_given_up() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.delay_s = 60
        response = await post(client)
        assert response.status_code == 500
        assert "longer than 0.05 s" in response.json()["detail"]["msg"]

    run(use, request_timeout_s=0.05)


def test_a_check_without_a_checker_is_refused() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        response = await post(client, safety_check="true")
        assert response.status_code == 400
        assert "no safety checker" in response.json()["detail"]["msg"]
        assert len(triton.inputs) == 2  # readiness' own

    run(use)


def test_a_long_prompt_is_refused() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        assert (await post(client, prompt="x" * 10)).status_code == 200
        response = await post(client, negative_prompt="x" * 11)
        assert response.status_code == 400
        assert response.json()["detail"]["msg"] == (
            "negative_prompt has 11 characters; at most 10 are allowed."
        )

    run(use, max_prompt_chars=10)


def test_no_more_than_the_bound_are_worked_on_and_all_accepted_ones_are_served() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.delay_s = 0.05
        answers = await asyncio.gather(*(post(client) for _ in range(20)))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) == 2 + 3
        assert statuses.count(500) == 15
        refused = next(answer for answer in answers if answer.status_code == 500)
        assert "insufficient capacity" in refused.json()["detail"]["msg"]
        assert refused.headers["retry-after"] == "5"
        assert triton.most_at_once == 2
        assert (await post(client)).status_code == 200

    run(use, max_in_progress=2, max_waiting=3)


@pytest.mark.parametrize(("profile", "status"), [("livepeer", 400), ("http", 413)])
def test_a_profile_gives_errors_their_status(profile: str, status: int) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        response = await post(client)
        assert response.status_code == status
        assert "at most 10 are allowed" in response.json()["detail"]["msg"]
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert str(status) in paths["/upscale"]["post"]["responses"]

    run(use, max_input_pixels=10, error_profile=profile)


async def watch(client: httpx.AsyncClient, **fields: str) -> list[tuple[str, Any]]:
    """The events of a request."""
    response = await post(client, "text/event-stream", **fields)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return [(sent.event, sent.json()) async for sent in EventSource(response).aiter_sse()]


def test_who_watches_sees_every_step_a_preview_and_the_result() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        events = await watch(client, num_inference_steps="3", seed="7")
        assert [kind for kind, _ in events] == [
            "accepted",
            "progress",
            "progress",
            "preview",
            "progress",
            "result",
        ]
        assert events[2][1]["step"] == 2
        assert events[2][1]["steps"] == 3
        assert events[3][1]["url"].startswith("data:image/jpeg;base64,")
        assert events[-1][1]["images"][0]["seed"] == 7

    run(use)


def test_who_watches_and_waits_hears_of_every_place() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.delay_s = 0.05
        courses = await asyncio.gather(*(watch(client, num_inference_steps="1") for _ in range(3)))
        positions = sorted(
            [data["position"] for kind, data in course if kind == "queued"] for course in courses
        )
        assert positions == [[], [1], [2, 1]]
        assert all(course[-1][0] == "result" for course in courses)

    run(use, max_in_progress=1)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InsufficientCapacity(), 429, "insufficient capacity"),
        (ZeroDivisionError("inside"), 500, "failed unexpectedly"),
    ],
)
def test_who_watches_gets_errors_as_events(error: Exception, status: int, message: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.error = error
        [*_, (kind, data)] = await watch(client, num_inference_steps="1")
        assert kind == "error"
        assert data["status"] == status
        assert message in data["detail"]["msg"]
        assert "inside" not in str(data)

    run(use, error_profile="http")


def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routes.events.HEARTBEAT_S", 0.01)

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.delay_s = 0.1
        response = await post(client, "text/event-stream")
        assert "\n\n: still at work\n\n" in response.text

    run(use)
