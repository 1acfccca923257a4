"""A request is sent again when its Triton is lost, and for nothing else."""

import asyncio

import httpx
import pytest

from gateway.errors import (
    InsufficientCapacity,
    TritonFailed,
    TritonLost,
    TritonRefused,
    UpscaleError,
)
from gateway.triton.client import OnProgress, Upscaled, UpscaleInputs
from gateway.triton.readiness import Readiness
from tests.gateway.test_app import FakeTriton, post, run


def let_fail(triton: FakeTriton, errors: list[UpscaleError]) -> list[UpscaleInputs]:
    """Requests, kept in the list, meet these errors one after the other; trials pass."""
    served = triton.upscale
    requests: list[UpscaleInputs] = []

    async def upscale(
        inputs: UpscaleInputs,
        timeout_s: float,
        on_progress: OnProgress | None = None,
        preview_every: int = 0,
    ) -> Upscaled:
        if inputs.num_inference_steps > 1:
            requests.append(inputs)
            if errors:
                raise errors.pop(0)
        return await served(inputs, timeout_s, on_progress, preview_every)

    triton.upscale = upscale  # type: ignore[method-assign]
    return requests


@pytest.mark.parametrize(
    ("errors", "attempts", "status"),
    [
        ([TritonLost()], 2, 200),
        ([TritonLost(), TritonLost()], 2, 503),
        ([TritonRefused(), TritonRefused(), TritonRefused()], 4, 200),
        ([TritonRefused(), TritonLost(), TritonRefused()], 4, 200),
        ([TritonLost(), TritonRefused(), TritonLost()], 3, 503),
        ([InsufficientCapacity()], 1, 429),
        ([TritonLost(), InsufficientCapacity()], 2, 429),
        ([TritonFailed()], 1, 503),
    ],
)
def test_what_a_triton_may_end_of_is_tried_once_more_and_a_refusal_again_and_again(
    errors: list[UpscaleError], attempts: int, status: int
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        watching = asyncio.create_task(readiness.watch())
        requests = let_fail(triton, list(errors))
        response = await post(client)  # without a seed: a random one
        watching.cancel()
        assert response.status_code == status
        assert len(requests) == attempts
        assert len({inputs.seed for inputs in requests}) == 1

    run(use, error_profile="http")


def test_a_retry_waits_no_longer_than_the_request_may() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()  # and nobody watches: it stays lost
        requests = let_fail(triton, [TritonLost()])
        response = await post(client)
        assert response.status_code == 503
        assert "not being served now" in response.json()["detail"]["msg"], "the true reason"
        assert len(requests) == 1

    run(use, error_profile="http", request_timeout_s=0.2)


def test_who_comes_while_triton_is_replaced_waits_and_while_it_fails_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.triton.pool.POLL_INTERVAL_S", 0.001)
    monkeypatch.setattr("gateway.triton.readiness.POLL_INTERVAL_S", 0.001)

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        watching = asyncio.create_task(readiness.watch())
        for error in (TritonRefused(), TritonFailed()):
            triton.model_error = error  # of its trials
            with pytest.raises(type(error)), readiness.learn_from_request():
                raise error
            await asyncio.wait_for(readiness.lost.wait(), 5)
            asked = triton.asked_for_model
            sent = asyncio.create_task(post(client))
            while triton.asked_for_model < asked + 3:
                await asyncio.sleep(0.001)
            is_awaited = isinstance(error, TritonRefused)
            assert sent.done() is not is_awaited
            triton.model_error = None
            assert (await sent).status_code == (200 if is_awaited else 503)
            await asyncio.wait_for(readiness.ready.wait(), 5)
        watching.cancel()

    run(use, error_profile="http")
