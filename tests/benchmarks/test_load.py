"""The plan of requests, and the two loops against a server that answers as a test says."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from fastapi import Response

from benchmarks.load import Planned, closed_loop, make_plan, open_loop, percentile
from tests.client.loopback import Loopback, Sent


def test_a_seed_gives_one_plan_and_another_gives_another() -> None:
    arguments = (50, [32, 64], [5, 10])
    assert make_plan(*arguments, 1, 2.0) == make_plan(*arguments, 1, 2.0)
    assert make_plan(*arguments, 1, 2.0) != make_plan(*arguments, 2, 2.0)


def test_sizes_and_steps_are_those_given_and_do_not_depend_on_the_rate() -> None:
    plans = [make_plan(100, [32, 64], [5, 10], 0, rate) for rate in (None, 1.0, 7.0)]
    kinds = [[(one.side, one.num_inference_steps, one.seed) for one in plan] for plan in plans]
    assert kinds[0] == kinds[1] == kinds[2]
    assert {kind[:2] for kind in kinds[0]} == {(32, 5), (32, 10), (64, 5), (64, 10)}


def test_a_closed_loop_is_due_at_once() -> None:
    assert {one.arrival_s for one in make_plan(10, [32], [5], 0)} == {0.0}


def test_a_fixed_rate_has_equal_gaps() -> None:
    plan = make_plan(4, [32], [5], 0, 8.0, is_poisson=False)
    assert [one.arrival_s for one in plan] == [0.125, 0.25, 0.375, 0.5]


def test_a_poisson_process_has_the_rate_and_exponential_gaps() -> None:
    arrivals = [one.arrival_s for one in make_plan(20_000, [32], [5], 3, 4.0)]
    gaps = np.diff(arrivals)
    assert gaps.mean() == pytest.approx(1 / 4, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 4, rel=0.03)


IMAGES = {8: b"eight", 16: b"sixteen"}
Answer = Callable[[Sent], Awaitable[Response]]


def one_at_a_time(seconds: float) -> Answer:
    """A server that serves nobody else meanwhile."""
    turn = asyncio.Lock()

    async def answer(_: Sent) -> Response:
        async with turn:
            await asyncio.sleep(seconds)
        return Response()

    return answer


def test_a_closed_loop_keeps_so_many_in_flight_and_sends_the_plan() -> None:
    in_flight = most = 0

    async def answer(_: Sent) -> Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.02)
        in_flight -= 1
        return Response()

    plan = make_plan(12, list(IMAGES), [3, 4], 0)
    with Loopback() as server:
        server.answer = answer
        run = asyncio.run(closed_loop(server.url, plan, IMAGES, 3))
    assert most == 3
    assert len(run.latencies_s) == 12
    assert run.throughput == pytest.approx(12 / run.seconds)
    names = ("num_inference_steps", "seed")
    sent = [(one.image, *(one.fields[name] for name in names)) for one in server.sent]
    planned = [(IMAGES[one.side], *(str(getattr(one, name)) for name in names)) for one in plan]
    assert sorted(sent) == sorted(planned)


def test_an_open_loop_does_not_wait_and_counts_from_the_planned_arrival() -> None:
    """Three requests 0.1 s apart to a server that takes 0.4 s each: they wait for each other."""
    plan = [Planned(0.1 * i, 8, 5, i) for i in range(3)]
    with Loopback() as server:
        server.answer = one_at_a_time(0.4)
        run = asyncio.run(open_loop(server.url, plan, IMAGES))
    for latency_s, least_s in zip(run.latencies_s, (0.4, 0.7, 1.0), strict=True):
        assert latency_s >= least_s


def test_what_is_sent_late_has_waited() -> None:
    """The event loop of the sender is held up: the request is late, its latency is not shorter."""

    async def main(url: str) -> float:
        plan = [Planned(0.1, 8, 5, 0)]
        loading = asyncio.create_task(open_loop(url, plan, IMAGES))
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_soon(time.sleep, 0.5)
        return (await loading).latencies_s[0]

    async def answer(_: Sent) -> Response:
        return Response()

    with Loopback() as server:
        server.answer = answer
        assert asyncio.run(main(server.url)) >= 0.4


def test_errors_are_counted_by_status_and_are_no_latencies() -> None:
    async def answer(sent: Sent) -> Response:
        return Response(status_code=500 if sent.fields["seed"] == "0" else 200)

    plan = [Planned(0.0, 8, 5, seed) for seed in (0, 0, 1)]
    with Loopback() as server:
        server.answer = answer
        run = asyncio.run(closed_loop(server.url, plan, IMAGES, 1))
        url = server.url
    assert run.errors == {"500": 2}
    assert len(run.latencies_s) == 1
    gone = asyncio.run(closed_loop(url, plan, IMAGES, 1))
    assert gone.errors == {"ConnectError": 3}
    assert gone.throughput == 0


def test_percentiles() -> None:
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([], 50) != percentile([], 50)  # not a number
