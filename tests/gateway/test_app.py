"""The application over a Triton that is a class: what a real one cannot be made to do on cue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.app import create_app
from gateway.errors import BackendError, InsufficientCapacity, UpscaleError
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.triton import ServedModel, Upscaled, UpscaleInputs
from tests.photographs import file_of, photograph

IMAGE = file_of(photograph("cat", 8, 8))
MODEL = ServedModel("model", 75, 9.0, 20, 350, has_safety_checker=False)


class FakeTriton:
    """Answers with a black picture, or with what a test sets."""

    def __init__(self) -> None:
        self.inputs: list[UpscaleInputs] = []
        self.error: Exception | None = None
        self.delay_s = 0.0

    async def close(self) -> None:
        pass

    async def served_model(self) -> ServedModel:
        return MODEL

    async def upscale(self, inputs: UpscaleInputs, timeout_s: float) -> Upscaled:
        assert timeout_s > 0
        self.inputs.append(inputs)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        height, width = inputs.image.shape[:2]
        return Upscaled(np.zeros((4 * height, 4 * width, 3), np.uint8), nsfw=True)


Use = Callable[[httpx.AsyncClient, FakeTriton, Readiness], Awaitable[None]]


def run(use: Use, **settings: Any) -> None:
    async def main() -> None:
        triton = FakeTriton()
        readiness = Readiness(triton)  # type: ignore[arg-type]
        app = create_app(Settings(**settings), triton, readiness)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await use(client, triton, readiness)

    asyncio.run(main())


async def post(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    data = {"prompt": "x", "safety_check": "false", **fields}
    return await client.post("/upscale", files={"image": IMAGE}, data=data)


def test_nothing_is_served_before_the_first_picture() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/version")).json()["model_id"] == ""
        response = await post(client)
        assert response.status_code == 500
        assert "still loading" in response.json()["detail"]["msg"]
        await readiness.reach()
        assert (await client.get("/health")).json() == {"status": "OK"}
        assert (await post(client)).status_code == 200

    run(use)


def test_readiness_waits_for_a_picture_not_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.readiness.POLL_INTERVAL_S", 0.001)

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        triton.error = BackendError()
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
    ("error", "message"),
    [
        (InsufficientCapacity(), "insufficient capacity"),
        (BackendError(), "The upscaling backend failed"),
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
        assert len(triton.inputs) == 1  # readiness' own

    run(use)


def test_every_error_has_a_status_of_the_contract() -> None:
    def tree(kind: type[UpscaleError]) -> list[type[UpscaleError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]

    assert {kind.status for kind in tree(UpscaleError)} == {400, 401, 500}
