"""A request is given up at its own deadline, or at the server's end when that comes first."""

import asyncio

import pytest

from gateway.errors import RequestTimeout, Stopping, UpscaleError
from gateway.http.deadlines import Deadlines
from gateway.http.error_answers import ErrorAnswers, ErrorProfile


async def error_of(deadlines: Deadlines, within_s: float) -> UpscaleError:
    now = asyncio.get_running_loop().time()
    with pytest.raises(UpscaleError) as caught:
        async with deadlines.until(now + within_s, 7.0):
            await asyncio.sleep(60)
    return caught.value


def test_a_request_has_its_own_deadline() -> None:
    error = asyncio.run(error_of(Deadlines(), 0.01))
    assert type(error) is RequestTimeout
    assert "longer than 7 s" in str(error)


def test_the_end_shortens_those_that_run_and_those_that_come() -> None:
    async def main() -> None:
        deadlines = Deadlines()
        running = asyncio.create_task(error_of(deadlines, 60))
        soon = asyncio.create_task(error_of(deadlines, 0.01))
        await asyncio.sleep(0)
        deadlines.end(0.05)
        assert type(await soon) is RequestTimeout
        async with asyncio.timeout(5):
            assert type(await running) is Stopping
        assert type(await error_of(deadlines, 60)) is Stopping

    asyncio.run(main())


def test_what_is_done_in_time_is_left_alone() -> None:
    async def main() -> None:
        deadlines = Deadlines()
        async with deadlines.until(asyncio.get_running_loop().time() + 60, 60):
            deadlines.end(60)
        deadlines.end(0)

    asyncio.run(main())


def test_go_livepeer_takes_it_to_another_node() -> None:
    answer = ErrorAnswers(ErrorProfile.LIVEPEER).of(Stopping())
    assert answer.status_code == 500
    assert b"insufficient capacity: this server is being stopped" in bytes(answer.body)
