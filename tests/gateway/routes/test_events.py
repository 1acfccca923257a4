"""Events that a client of any speed gets, and what their stream leaves behind."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gateway.http.error_answers import ErrorAnswers, ErrorProfile
from gateway.images.write import OutputFormat, write_image
from gateway.routes import events as module
from gateway.routes.answer import UpscaleAnswer
from gateway.routes.events import MAX_UNREAD, RequestEvents, event_response
from gateway.triton.client import Decoding, Progress

STEPS = 75
PREVIEW = np.zeros((8, 8, 3), np.uint8)


def stream(
    make_answer: Callable[[RequestEvents], Awaitable[UpscaleAnswer]],
) -> AsyncIterator[Any]:
    response = event_response(make_answer, ErrorAnswers(ErrorProfile.HTTP))
    return aiter(response.body_iterator)


async def kinds(parts: AsyncIterator[Any]) -> list[str]:
    text = b"".join([part async for part in parts]).decode()
    return [line.removeprefix("event: ") for line in text.splitlines() if line[:6] == "event:"]


async def progress_data(events: RequestEvents) -> dict[str, Any]:
    event = await events.next()
    assert isinstance(event, bytes)
    data: dict[str, Any] = json.loads(event.decode().split("data: ")[1])
    return data


def test_a_client_that_goes_away_leaves_no_task() -> None:
    async def make_answer(events: RequestEvents) -> UpscaleAnswer:
        events.add_queued(1)
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        client = asyncio.create_task(kinds(stream(make_answer)))
        await asyncio.sleep(0.01)  # it has the first event and waits for the next
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize("expected_s", [None, 20.0])
def test_the_time_that_is_left_covers_decoding(
    monkeypatch: pytest.MonkeyPatch, expected_s: float | None
) -> None:
    now = 0.0
    monkeypatch.setattr("gateway.routes.events.time.monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        events = RequestEvents()
        events.add_accepted(30.0, expected_s)
        for step in (1, 2, 3):
            now += 1
            events.add_progress(Progress(step, 3, None))
        for tile in (0, 4, 8, 9):
            events.add_progress(Decoding(tile, 9))
            now += 8
        assert (await progress_data(events)) == {"seconds": 30.0}
        seen = [await progress_data(events) for _ in range(7)]
        lasts = expected_s or 0.0
        assert [data["seconds_left"] for data in seen[:3]] == [None, 1 + lasts, lasts]
        assert [(data["tile"], data["tiles"]) for data in seen[3:]] == [
            (0, 9), (4, 9), (8, 9), (9, 9),
        ]  # fmt: skip
        assert [data["seconds_left"] for data in seen[3:]] == [expected_s, 10.0, 2.0, 0.0]

    asyncio.run(main())


@pytest.mark.parametrize("again", [(1, 2, 3), (3, 4, 5), (0, 1, 2, 3), (0, 4, 5, 6)], ids=str)
def test_steps_that_begin_again_are_measured_anew(
    monkeypatch: pytest.MonkeyPatch, again: tuple[int, ...]
) -> None:
    """As when another Triton takes a request over, minutes later; the pool tells of a step 0."""
    now = 0.0
    monkeypatch.setattr("gateway.routes.events.time.monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        events = RequestEvents()
        for step in (3, 4, 5, *again):
            now += 600 if step == again[0] and now > 2 else 1
            events.add_progress(Progress(step, STEPS, None))
        seen = [(await progress_data(events))["seconds_left"] for _ in range(3 + len(again))]
        assert seen[2] == STEPS - 5
        assert seen[3] is None
        assert seen[-1] == STEPS - again[-1]  # a second each

    asyncio.run(main())


def test_a_slow_reader_misses_news_and_never_the_result() -> None:
    async def make_answer(events: RequestEvents) -> UpscaleAnswer:
        for step in range(1, 1001):
            events.add_progress(Progress(step, 1000, PREVIEW))
        return UpscaleAnswer("http://x/", 0, nsfw=False, distance=1.5)

    async def main() -> None:
        seen = await kinds(stream(make_answer))
        assert len(seen) == MAX_UNREAD + 1
        assert seen[-1] == "result"

    asyncio.run(main())


def test_the_latest_news_are_kept() -> None:
    async def main() -> None:
        events = RequestEvents()
        for step in range(1, 1001):
            events.add_progress(Progress(step, 1000, None))
        assert (await progress_data(events))["step"] == 1001 - MAX_UNREAD

    asyncio.run(main())


def test_previews_are_written_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def write(image: NDArray[np.uint8], output_format: OutputFormat) -> bytes:
        threads.append(threading.get_ident())
        return write_image(image, output_format)

    async def make_answer(events: RequestEvents) -> UpscaleAnswer:
        events.add_progress(Progress(1, 2, PREVIEW))
        return UpscaleAnswer("http://x/", 0, nsfw=False, distance=1.5)

    async def main() -> None:
        assert await kinds(stream(make_answer)) == ["progress", "preview", "result"]

    monkeypatch.setattr(module, "write_image", write)
    asyncio.run(main())
    assert threads
    assert threading.get_ident() not in threads


def test_no_line_is_longer_than_clients_take() -> None:
    """aiohttp's, which the SDK livepeer-gateway reads lines with, takes 128 KiB."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
    assert len(write_image(noise, "jpeg")) > 2**17

    async def main() -> None:
        async def make_answer(events: RequestEvents) -> UpscaleAnswer:
            events.add_progress(Progress(1, 2, noise))
            return UpscaleAnswer("https://store/picture", 1, False, distance=1.5)

        text = b"".join([part async for part in stream(make_answer)])
        assert max(map(len, text.splitlines())) < 2**17
        [line] = [line for line in text.decode().splitlines() if "data:image/jpeg" in line]
        url = json.loads(line.removeprefix("data: "))["url"]
        picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
        assert picture.width == 2 * picture.height

    asyncio.run(main())
