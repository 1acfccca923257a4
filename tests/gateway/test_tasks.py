import asyncio
from typing import NoReturn

import pytest

from gateway.tasks import in_background, repeat, run_until


def test_work_that_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    times = 0

    async def work() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise KeyError("model_id")

    async def main() -> None:
        async with in_background(repeat("The work", work, 0.001)), asyncio.timeout(5):
            while times < 5:
                await asyncio.sleep(0.001)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert caplog.text.count("The work failed and is tried again: 'model_id'") == 2
    assert "Traceback" in caplog.text


async def never() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def at_once() -> int:
    return 7


async def failing() -> NoReturn:
    raise KeyError


def test_work_that_is_done_first_has_its_result() -> None:
    async def main() -> None:
        assert await run_until(at_once(), never()) == 7
        with pytest.raises(KeyError):
            await run_until(failing(), never())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_the_end_cancels_the_work() -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            await run_until(never(), failing())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
