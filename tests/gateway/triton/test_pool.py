"""Which Triton gets a request, and what happens when Tritons come and go."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from gateway.errors import ModelChanged, NotReady, TritonFailed, TritonLost, TritonRefused
from gateway.triton.addresses import addresses_of
from gateway.triton.client import Decoding, Progress, UpscaleInputs
from gateway.triton.pool import TritonPool
from tests.gateway.test_app import MODEL, FakeTriton

FIRST, SECOND, THIRD = (f"127.0.0.{n}:8001" for n in (1, 2, 3))
INPUTS = UpscaleInputs(
    MODEL, np.zeros((8, 8, 3), np.uint8), "", "", 7, 5, 1.0, 0, safety_check=False
)


class Name:
    """A name whose addresses a test sets, and the Triton at each."""

    def __init__(self) -> None:
        self.addresses = {FIRST, SECOND}
        self.error: Exception | None = None
        self.tritons: dict[str, FakeTriton] = {}

    async def resolve(self) -> set[str]:
        if self.error is not None:
            raise self.error
        return set(self.addresses)

    def connect(self, address: str) -> FakeTriton:
        return self.tritons.setdefault(address, FakeTriton())

    def requests(self, address: str) -> int:
        """How many it got; trials of readiness have one step."""
        steps = [inputs.num_inference_steps for inputs in self.tritons[address].inputs]
        return steps.count(INPUTS.num_inference_steps)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.triton.pool.RESOLVE_INTERVAL_S", 0.002)
    monkeypatch.setattr("gateway.triton.pool.POLL_INTERVAL_S", 0.001)
    monkeypatch.setattr("gateway.triton.readiness.POLL_INTERVAL_S", 0.001)
    monkeypatch.setattr("gateway.triton.readiness.LIVE_TIMEOUT_S", 0.05)


def run(use: Callable[[Name, TritonPool], Awaitable[None]]) -> None:
    async def main() -> None:
        name = Name()
        pool = TritonPool(name.connect, 0.005, name.resolve)  # type: ignore[arg-type]
        watching = asyncio.create_task(pool.watch())
        async with asyncio.timeout(10):
            await until(lambda: len(ready(pool)) == 2)
            await use(name, pool)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(main())


def ready(pool: TritonPool) -> set[str]:
    return {triton.address for triton in pool.ready()}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def upscale(pool: TritonPool) -> None:
    await pool.upscale(INPUTS, asyncio.get_running_loop().time() + 5, None, 0)


def test_requests_are_spread_over_all() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        for _ in range(6):  # one after the other: none is in flight at the next
            await upscale(pool)
        assert name.requests(FIRST) == name.requests(SECOND) == 3

    run(use)


def test_a_request_goes_where_the_fewest_are_in_flight() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.tritons[FIRST].delay_s = 0.3
        await asyncio.gather(*(upscale(pool) for _ in range(2)))  # one each
        slow = [asyncio.create_task(upscale(pool)) for _ in range(2)]
        await asyncio.sleep(0.05)  # the second has answered, the first has not
        for _ in range(4):
            await upscale(pool)
        assert name.requests(FIRST) == 2
        await asyncio.gather(*slow)

    run(use)


def test_a_lost_connection_is_tried_elsewhere_once() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.tritons[FIRST].error = TritonLost()
        for _ in range(3):
            await upscale(pool)
        assert name.requests(FIRST) == 1
        assert name.requests(SECOND) == 3
        assert ready(pool) == {SECOND}
        name.tritons[FIRST].error = None
        await until(lambda: len(ready(pool)) == 2)
        await upscale(pool)
        assert name.requests(FIRST) == 2

    run(use)


def test_a_request_that_hangs_goes_on_elsewhere_once_its_triton_is_lost() -> None:
    """A stage whose process has died answers nothing, not even an error."""

    async def use(name: Name, pool: TritonPool) -> None:
        name.tritons[FIRST].delay_s = 3600
        name.tritons[SECOND].delay_s = 3600
        hanging = [asyncio.create_task(upscale(pool)) for _ in range(2)]
        await until(lambda: name.requests(FIRST) == name.requests(SECOND) == 1)
        name.tritons[SECOND].delay_s = 0
        [first] = [triton for triton in pool.ready() if triton.address == FIRST]
        first.readiness.lose()  # as a trial or `upscale serve` finds
        done, _ = await asyncio.wait(hanging, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        assert name.requests(SECOND) == 2
        assert first.in_flight == 0
        name.tritons[FIRST].delay_s = 0
        for request in hanging:
            request.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    run(use)


def test_tritons_that_are_stopped_one_after_the_other_lose_no_request() -> None:
    """One request finds that a Triton refuses; others that it works on go on elsewhere, too."""

    async def use(name: Name, pool: TritonPool) -> None:
        for client in name.tritons.values():
            client.holds_requests = True
        request = asyncio.create_task(upscale(pool))
        for attempt in (1, 2, 3):
            while sum(name.requests(address) for address in (FIRST, SECOND)) < attempt:
                await asyncio.sleep(0.001)
            [busy] = [triton for triton in pool.ready() if triton.in_flight]
            name.tritons[FIRST].holds_requests = name.tritons[SECOND].holds_requests = attempt < 3
            with pytest.raises(TritonRefused), busy.readiness.learn_from_request():
                raise TritonRefused
            busy.readiness.lose()
        await request
        assert sum(name.requests(address) for address in (FIRST, SECOND)) == 4

    run(use)


def test_who_watches_sees_the_steps_begin_again() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        steps: list[int] = []
        totals: set[int] = set()
        for triton in name.tritons.values():
            triton.error, triton.tiles = TritonLost(), 4

        def on_progress(progress: Progress | Decoding) -> None:
            assert isinstance(progress, Progress)
            steps.append(progress.step)
            totals.add(progress.steps)
            if progress.step == 0:
                for triton in name.tritons.values():
                    triton.error = None

        deadline = asyncio.get_running_loop().time() + 5
        await pool.upscale(INPUTS, deadline, on_progress, 0)
        assert steps == [*range(1, 21), *range(21)]
        assert totals == {20}

    run(use)


@pytest.mark.parametrize("error", [UnicodeError("label empty"), KeyError("surprise")])
def test_a_look_up_that_fails_is_logged_and_made_again(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.error = error
        await until(lambda: "Looking up Triton's addresses failed" in caplog.text)
        name.error = None
        name.addresses.add(THIRD)
        await until(lambda: len(ready(pool)) == 3)

    run(use)


def test_another_failure_is_not_tried_again() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        for triton in name.tritons.values():
            triton.error = TritonFailed()
        with pytest.raises(TritonFailed):
            await upscale(pool)
        assert name.requests(FIRST) + name.requests(SECOND) == 1

    run(use)


def test_a_new_address_is_found() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.addresses.add(THIRD)
        await until(lambda: len(ready(pool)) == 3)
        for _ in range(3):
            await upscale(pool)
        assert name.requests(THIRD) == 1

    run(use)


def test_an_address_that_is_gone_finishes_what_it_has() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        for triton in name.tritons.values():
            triton.delay_s = 0.1
        requests = [asyncio.create_task(upscale(pool)) for _ in range(2)]
        await asyncio.sleep(0.02)
        name.addresses.remove(FIRST)
        await until(lambda: ready(pool) == {SECOND})
        assert not name.tritons[FIRST].is_closed
        await asyncio.gather(*requests)
        await until(lambda: name.tritons[FIRST].is_closed)
        await upscale(pool)
        assert name.requests(FIRST) == 1

    run(use)


def test_requests_wait_while_the_only_triton_is_replaced() -> None:
    """The old one finishes what it has and gets nothing more; the next one gets all that came."""

    async def use(name: Name, pool: TritonPool) -> None:
        name.addresses = {FIRST}
        await until(lambda: ready(pool) == {FIRST})
        name.tritons[FIRST].delay_s = 0.1
        in_flight = asyncio.create_task(upscale(pool))
        await until(lambda: name.requests(FIRST) == 1)
        name.addresses = set()
        await until(lambda: not ready(pool))
        assert (pool.status, pool.model) == ("LOADING", MODEL)
        late = [asyncio.create_task(upscale(pool)) for _ in range(3)]
        await in_flight
        await until(lambda: name.tritons[FIRST].is_closed)
        name.addresses = {THIRD}
        await asyncio.gather(*late)
        assert (name.requests(FIRST), name.requests(THIRD)) == (1, 3)

    run(use)


def test_none_comes_until_the_deadline() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.addresses = set()
        await until(lambda: not ready(pool))
        with pytest.raises(NotReady):
            await pool.upscale(INPUTS, asyncio.get_running_loop().time() + 0.02, None, 0)

    run(use)


def test_a_request_of_another_model_is_not_made_with_the_next_one() -> None:
    """Its defaults and limits, and the caller's model_id, were those of the model before."""

    async def use(name: Name, pool: TritonPool) -> None:
        inputs = replace(INPUTS, model=replace(MODEL, guidance_scale=1.0))
        with pytest.raises(ModelChanged):
            await pool.upscale(inputs, asyncio.get_running_loop().time() + 5, None, 0)
        assert name.requests(FIRST) + name.requests(SECOND) == 0

    run(use)


def test_an_address_that_comes_back_is_the_same_triton() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        for triton in name.tritons.values():
            triton.holds_requests = True
        requests = [asyncio.create_task(upscale(pool)) for _ in range(2)]
        await until(lambda: name.requests(FIRST) == name.requests(SECOND) == 1)
        [first] = [triton for triton in pool.ready() if triton.address == FIRST]
        name.addresses.remove(FIRST)
        await until(lambda: ready(pool) == {SECOND})
        name.addresses.add(FIRST)
        await until(lambda: ready(pool) == {FIRST, SECOND})
        assert first in pool.ready()
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    run(use)


def test_what_an_address_that_is_gone_cannot_finish_goes_on_elsewhere() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        for triton in name.tritons.values():
            triton.holds_requests = True
        requests = [asyncio.create_task(upscale(pool)) for _ in range(2)]
        await until(lambda: name.requests(FIRST) == name.requests(SECOND) == 1)
        name.addresses.remove(FIRST)
        await until(lambda: ready(pool) == {SECOND})
        name.tritons[SECOND].holds_requests = False
        name.tritons[FIRST].is_frozen = True  # gives no sign of life
        await until(lambda: name.requests(SECOND) == 2)
        await until(lambda: name.tritons[FIRST].is_closed)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    run(use)


def test_a_name_server_that_is_away_takes_nothing_away() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.error = OSError("no name server")
        await asyncio.sleep(0.02)
        await upscale(pool)
        assert len(ready(pool)) == 2

    run(use)


def test_one_that_serves_is_enough_and_none_is_told() -> None:
    async def use(name: Name, pool: TritonPool) -> None:
        name.tritons[FIRST].error = TritonFailed()
        await until(lambda: ready(pool) == {SECOND})
        assert pool.status == "OK"
        assert list(await pool.statistics()) == [SECOND]
        name.tritons[SECOND].error = TritonFailed()
        await until(lambda: pool.status == "ERROR")
        with pytest.raises(NotReady):
            _ = pool.model

    run(use)


@pytest.mark.parametrize(
    ("name", "address"), [("localhost:8001", "127.0.0.1:8001"), ("[::1]:8001", "[::1]:8001")]
)
def test_a_name_is_looked_up(name: str, address: str) -> None:
    assert address in asyncio.run(addresses_of(name)())


def test_a_name_that_is_none_is_an_oserror() -> None:
    with pytest.raises(OSError, match="no name of a host"):
        asyncio.run(addresses_of("foo..bar:8001")())


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_a_name_without_an_address_stands_for_no_triton(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    codes = [code, code, None, code, socket.EAI_AGAIN]

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        if (found := codes.pop(0)) is not None:
            raise socket.gaierror(found, "in the resolver's words")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 8001))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolve = addresses_of("triton:8001")

    async def main() -> None:
        assert [await resolve() for _ in range(4)] == [set(), set(), {"10.0.0.1:8001"}, set()]
        with pytest.raises(socket.gaierror):
            await resolve()

    asyncio.run(main())
    assert caplog.text.count("triton has no address") == 2, "told once each time"
