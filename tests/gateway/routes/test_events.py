"""What a stream of events leaves behind."""

import asyncio

from gateway.errors import ErrorAnswers, ErrorProfile
from gateway.routes.events import Course, _stream


def test_a_client_that_goes_away_leaves_no_task() -> None:
    async def work(course: Course) -> bytes:
        course.queued(1)
        await asyncio.Event().wait()
        return b""

    async def read() -> None:
        async for _ in _stream(work, ErrorAnswers(ErrorProfile.HTTP)):
            pass

    async def main() -> None:
        client = asyncio.create_task(read())
        await asyncio.sleep(0.01)  # it has the first event and waits for the next
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
