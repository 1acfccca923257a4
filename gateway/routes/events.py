"""What happens to a request as server-sent events: accepted, queued, progress, preview, decoding,
and at the end result, with image before it where the file itself is asked for, or error.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import cv2
import numpy as np
from fastapi.sse import EventSourceResponse, format_sse_event
from numpy.typing import NDArray

from gateway.http.error_answers import ErrorAnswers
from gateway.images.data_url import DataUrl
from gateway.images.write import write_image
from gateway.routes.answer import FileAnswer, UpscaleAnswer
from gateway.triton.client import Decoding, Progress

Answer = UpscaleAnswer | FileAnswer
HEARTBEAT_S = 10.0  # proxies close what is silent for a minute or so
MAX_PREVIEW_BYTES = 96_000  # of the file, a third more in base64
MAX_UNREAD = 32  # events that wait for a client that reads slowly; the oldest goes first
MEDIA_TYPE = "text/event-stream"

Preview = NDArray[np.uint8]  # RGB [h, w, 3]


class RequestEvents:
    """What a client has not read yet of the news of its request. The result is not among it."""

    def __init__(self) -> None:
        self._unread: asyncio.Queue[bytes | Preview] = asyncio.Queue(MAX_UNREAD)
        self._measured_from: tuple[float, int] | None = None  # a time and the step done by then
        self._decode_s: float | None = None
        self._decoding_began: float | None = None

    def add_accepted(self, seconds: float | None, decode_s: float | None = None) -> None:
        """seconds: until the result, as far as is known; it waits now or is worked on.

        decode_s: of them, what comes after the steps.
        """
        self._decode_s = decode_s
        self._add(_event("accepted", {"seconds": seconds}))

    def add_queued(self, position: int) -> None:
        """position: in the queue, from 1."""
        self._add(_event("queued", {"position": position}))

    def add_progress(self, progress: Progress | Decoding) -> None:
        """A step or a decoded tile, with the time until the result if the others take as long.

        Steps begin again, from 0 or a low one, when another Triton takes the request over.
        """
        if isinstance(progress, Decoding):
            self._add_decoding(progress)
            return
        now, left = time.monotonic(), None
        self._decoding_began = None
        # The first step that is heard of is no measure itself: it waited for others.
        if self._measured_from is None or progress.step <= self._measured_from[1]:
            self._measured_from = (now, progress.step) if progress.step else None
        else:
            began, first = self._measured_from
            pace = (now - began) / (progress.step - first)
            left = round(pace * (progress.steps - progress.step) + (self._decode_s or 0.0), 1)
        data = {"step": progress.step, "steps": progress.steps, "seconds_left": left}
        self._add(_event("progress", data))
        if progress.preview is not None:
            self._add(progress.preview)

    def _add_decoding(self, decoding: Decoding) -> None:
        """By the tiles so far; before the first, by what others took."""
        now = time.monotonic()
        self._decoding_began = self._decoding_began or now
        left = self._decode_s
        if decoding.tile:
            spent = now - self._decoding_began
            left = spent / decoding.tile * (decoding.tiles - decoding.tile)
        data = {
            "tile": decoding.tile,
            "tiles": decoding.tiles,
            "seconds_left": None if left is None else round(left, 1),
        }
        self._add(_event("decoding", data))

    @property
    def are_all_read(self) -> bool:
        """Whether `next` would wait."""
        return self._unread.empty()

    async def next(self) -> bytes | Preview:
        """The oldest, a preview as its pixels; waits for one."""
        return await self._unread.get()

    def _add(self, event: bytes | Preview) -> None:
        if self._unread.full():
            self._unread.get_nowait()
        self._unread.put_nowait(event)


def event_response(
    make_answer: Callable[[RequestEvents], Awaitable[Answer]],
    error_answers: ErrorAnswers,
    headers: dict[str, str] | None = None,
) -> EventSourceResponse:
    """Stream what make_answer adds to its argument, then its answer; its errors become events.

    When the client goes away, it is cancelled.
    """
    return EventSourceResponse(
        _stream(make_answer, error_answers),
        # no cache keeps it, and nginx passes it on at once
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
    )


async def _stream(
    make_answer: Callable[[RequestEvents], Awaitable[Answer]], error_answers: ErrorAnswers
) -> AsyncIterator[bytes]:
    events = RequestEvents()
    making = asyncio.ensure_future(make_answer(events))
    try:
        while not (making.done() and events.are_all_read):
            reading = asyncio.ensure_future(events.next())
            try:
                await asyncio.wait(
                    {reading, making}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
            finally:  # also when the client goes away
                has_event = not reading.cancel()
            if has_event:
                yield await _written(reading.result())
            elif not making.done():
                yield format_sse_event(comment="still at work")
        async for piece in _last_event(making, error_answers):
            yield piece
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)


async def _written(event: bytes | Preview) -> bytes:
    """A preview becomes a file only now that somebody reads it, and in a thread."""
    if isinstance(event, bytes):
        return event
    content = await asyncio.to_thread(_preview_file, event)
    return _event("preview", {"url": str(DataUrl(content, "jpeg"))})


def _preview_file(preview: Preview) -> bytes:
    """A JPEG; halved until it fits, since some clients take no line over 128 KiB."""
    while len(content := write_image(preview, "jpeg")) > MAX_PREVIEW_BYTES:
        height, width = (max(1, side // 2) for side in preview.shape[:2])
        preview = cv2.resize(preview, (width, height), interpolation=cv2.INTER_AREA)
    return content


async def _last_event(
    made: asyncio.Future[Answer], error_answers: ErrorAnswers
) -> AsyncIterator[bytes]:
    try:
        answer = made.result()
    except Exception as error:
        response = error_answers.of(error)
        yield _event("error", {"status": response.status_code, **json.loads(bytes(response.body))})
        return
    async for piece in answer.events():
        yield piece


def _event(event: str, data: dict[str, Any]) -> bytes:
    return format_sse_event(event=event, data_str=json.dumps(data))
