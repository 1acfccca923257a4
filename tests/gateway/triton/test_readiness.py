"""What makes the server ready, and what makes it lose that."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest

from gateway.errors import InsufficientCapacity, NotReady, TritonFailed, UnknownModel
from gateway.tasks import in_background
from gateway.triton.client import ModelStatistics, Progress
from gateway.triton.readiness import Readiness
from tests.gateway.test_app import FakeTriton


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.triton.readiness.POLL_INTERVAL_S", 0.001)


def watched(
    use: Callable[[FakeTriton, Readiness], Awaitable[None]], interval_s: float = 0.001
) -> None:
    async def main() -> None:
        triton = FakeTriton()
        readiness = Readiness(triton, interval_s)  # type: ignore[arg-type]
        watching = asyncio.create_task(readiness.watch())
        await readiness.ready.wait()
        async with asyncio.timeout(5):
            await use(triton, readiness)
        watching.cancel()

    asyncio.run(main())


def test_engines_are_warm_before_it_is_ready_and_trials_are_small_from_then_on() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        while len(triton.inputs) < 4:
            await asyncio.sleep(0.001)
        sides = [inputs.image.shape[0] for inputs in triton.inputs[:4]]
        assert sides == [8, 128, 8, 8]

    watched(use)


def test_a_failing_trial_is_noticed_and_so_is_the_recovery() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.error = TritonFailed()
        await readiness.lost.wait()
        assert readiness.status == "ERROR"
        with pytest.raises(NotReady):
            _ = readiness.model
        triton.error = None
        await readiness.ready.wait()
        assert readiness.status == "OK"
        assert not readiness.lost.is_set()

    watched(use)


def test_busy_is_not_broken() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.error = InsufficientCapacity()
        tried = len(triton.inputs)
        while len(triton.inputs) < tried + 5:
            await asyncio.sleep(0.001)
        assert readiness.status == "OK"

    watched(use)


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_slow_answer_is_no_failure_while_engines_work(
    monkeypatch: pytest.MonkeyPatch, is_idle: bool
) -> None:
    monkeypatch.setattr("gateway.triton.readiness.STALL_TIMEOUT_S", 0.01)
    executions = itertools.count()

    async def statistics() -> list[ModelStatistics]:
        return [ModelStatistics("vae_decoder", 0, next(executions), 0, 0)]

    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        with nullcontext() if is_idle else readiness.learn_from_request():
            with monkeypatch.context() as patch:
                patch.setattr(triton, "statistics", statistics)
                triton.delay_s = 60
                tried = len(triton.inputs)
                while len(triton.inputs) < tried + 3:
                    await asyncio.sleep(0.001)
                assert readiness.status == "OK"
            await readiness.lost.wait()  # they stand still

    watched(use)


@pytest.mark.parametrize("error", [TritonFailed(), TimeoutError()])
def test_statistics_that_do_not_come_are_no_standstill(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Two times unknown is not twice the same."""
    monkeypatch.setattr("gateway.triton.readiness.STALL_TIMEOUT_S", 0.01)

    async def statistics() -> list[ModelStatistics]:
        raise error

    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(triton, "statistics", statistics)
            triton.delay_s = 60
            tried = len(triton.inputs)
            while len(triton.inputs) < tried + 3:
                await asyncio.sleep(0.001)
            assert readiness.status == "OK"
        await readiness.lost.wait()

    watched(use)


def test_a_model_of_somebody_elses_is_an_error_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        triton = FakeTriton()
        triton.model_error = UnknownModel("The model is somebody else's.")
        readiness = Readiness(triton, 0.001)  # type: ignore[arg-type]
        assert readiness.status == "LOADING"
        async with in_background(readiness.watch()), asyncio.timeout(5):
            while triton.asked_for_model < 4:
                await asyncio.sleep(0.001)
            assert readiness.status == "ERROR"
            triton.model_error = None  # ours is loaded in its place
            await readiness.ready.wait()
            assert readiness.status == "OK"

    asyncio.run(main())
    assert caplog.text.count("The model is somebody else's.") == 1


def test_a_surprise_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.model_error = KeyError("surprise")
        while "Trying Triton failed and is tried again" not in caplog.text:
            await asyncio.sleep(0.001)
        triton.model_error = TritonFailed()
        await readiness.lost.wait()
        triton.model_error = None
        await readiness.ready.wait()

    watched(use)


def test_a_trial_that_waits_for_its_turn_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that denoise runs itself are in no statistics; it tells a trial that it waits."""
    monkeypatch.setattr("gateway.triton.readiness.STALL_TIMEOUT_S", 0.01)

    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.progress, triton.delay_s = Progress(0, 1, None), 60
        tried = len(triton.inputs)
        while len(triton.inputs) < tried + 3:
            await asyncio.sleep(0.001)
        assert readiness.status == "OK"
        triton.progress = Progress(1, 1, None)  # its turn is over, and no picture comes
        await readiness.lost.wait()

    watched(use)


def test_no_sign_of_life_is_a_failure_whatever_a_trial_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.triton.readiness.LIVE_TIMEOUT_S", 0.01)

    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        with readiness.learn_from_request():
            triton.is_frozen, triton.delay_s = True, 60
            await readiness.lost.wait()
        triton.is_frozen, triton.delay_s = False, 0
        await readiness.ready.wait()

    watched(use)


def test_a_slow_answer_is_no_failure_when_a_request_came_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.triton.readiness.STALL_TIMEOUT_S", 0.05)

    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.delay_s = 60
        tried = len(triton.inputs)
        while len(triton.inputs) == tried:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(readiness, "_busy_timeout_s", 60)
        with readiness.learn_from_request():
            while len(triton.inputs) == tried + 1:  # the trial beside it
                await asyncio.sleep(0.001)
            assert readiness.status == "OK"

    watched(use)


def test_nothing_is_tried_while_requests_succeed() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        tried = len(triton.inputs)
        for _ in range(20):
            await asyncio.sleep(0.01)
            with readiness.learn_from_request():
                pass
        assert len(triton.inputs) == tried

    watched(use, interval_s=0.05)


def test_a_doubt_is_looked_into_at_once() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.error = TritonFailed()
        with pytest.raises(TritonFailed), readiness.learn_from_request():
            raise triton.error
        await readiness.lost.wait()

    watched(use, interval_s=60)


def test_it_is_not_ready_before_it_may_be_and_says_what_goes_on() -> None:
    async def main() -> None:
        triton, stages = FakeTriton(), list[str]()
        readiness = Readiness(triton, 0.001)  # type: ignore[arg-type]
        upscale = triton.upscale

        async def noted(*arguments: Any) -> Any:
            stages.append(readiness.stage)
            return await upscale(*arguments)

        triton.upscale = noted  # type: ignore[assignment,method-assign]
        readiness.allowed.clear()
        triton.model_error = TritonFailed()
        async with in_background(readiness.watch()), asyncio.timeout(5):
            while triton.asked_for_model < 3:
                await asyncio.sleep(0.001)
            assert readiness.stage == "Triton loads the engines"
            triton.model_error = None
            while readiness.stage != "the repository's files are checked":
                await asyncio.sleep(0.001)
            assert stages == ["a first picture is tried", "the engines are warmed up"]
            assert (readiness.status, readiness.ready.is_set()) == ("LOADING", False)
            readiness.allowed.set()
            await readiness.ready.wait()

    asyncio.run(main())


def test_trials_grow_rarer_while_all_is_well_and_are_due_again_after_a_doubt() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.delay_s = 0.01  # a trial; two hundred times that is the longest pause
        pauses = [readiness._pause_s]
        while pauses[-1] < 0.1:
            if readiness._pause_s != pauses[-1]:
                pauses.append(readiness._pause_s)
            await asyncio.sleep(0.001)
        assert pauses == [0.001 * 2**n for n in range(len(pauses))]
        with pytest.raises(TritonFailed), readiness.learn_from_request():
            raise TritonFailed
        while readiness._pause_s > 0.1:
            await asyncio.sleep(0.001)
        assert readiness.status == "OK"

    watched(use)


def test_pauses_are_as_long_as_trials_are_worth() -> None:
    async def use(triton: FakeTriton, readiness: Readiness) -> None:
        triton.delay_s = 0.001
        tried = len(triton.inputs)
        while len(triton.inputs) < tried + 6:
            await asyncio.sleep(0.001)
        assert readiness._trial_s > 0
        assert readiness._pause_s <= max(0.001, readiness._trial_s * 200)

    watched(use, interval_s=0.02)
