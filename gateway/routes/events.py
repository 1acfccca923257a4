"""A request's course as server-sent events: queued, progress, preview, result or error.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi.sse import EventSourceResponse, format_sse_event

from gateway.errors import ErrorAnswers
from gateway.images.write import data_url, encode
from gateway.triton.client import Progress

HEARTBEAT_S = 10.0  # proxies close what is silent for a minute or so
MEDIA_TYPE = "text/event-stream"


class Course:
    """What is told of a request while it is worked on, as whole events."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self._first: tuple[float, int] | None = None  # when a step was first heard of, and which

    def queued(self, position: int) -> None:
        """position: in the queue, from 1."""
        self._put("queued", {"position": position})

    def progress(self, progress: Progress) -> None:
        """A step, with the time that is left if the others take as long."""
        now, left = time.monotonic(), None
        if self._first is None:  # the first step is no measure: it waited for others
            self._first = (now, progress.step) if progress.step else None
        else:
            began, first = self._first
            pace = (now - began) / (progress.step - first)
            left = round(pace * (progress.steps - progress.step), 1)
        event = {"step": progress.step, "steps": progress.steps, "seconds_left": left}
        self._put("progress", event)
        if progress.preview is not None:
            self._put("preview", {"url": data_url(encode(progress.preview, "jpeg"), "jpeg")})

    def _put(self, event: str, data: dict[str, Any]) -> None:
        self.events.put_nowait(format_sse_event(event=event, data_str=json.dumps(data)))


def event_response(
    work: Callable[[Course], Awaitable[bytes]], answers: ErrorAnswers
) -> EventSourceResponse:
    """Stream the course of `work`, which returns the contract's JSON; its errors become events.

    When the client goes away, the work is cancelled.
    """
    return EventSourceResponse(
        _stream(work, answers),
        # no cache keeps it, and nginx passes it on at once
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    work: Callable[[Course], Awaitable[bytes]], answers: ErrorAnswers
) -> AsyncIterator[bytes]:
    course = Course()
    worker = asyncio.ensure_future(_last_event(work, course, answers))
    try:
        while not (worker.done() and course.events.empty()):
            reader = asyncio.ensure_future(course.events.get())
            try:
                await asyncio.wait(
                    {reader, worker}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
            finally:  # also when the client goes away
                has_event = not reader.cancel()
            if has_event:
                yield reader.result()
            elif not worker.done():
                yield format_sse_event(comment="still at work")
        yield worker.result()
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def _last_event(
    work: Callable[[Course], Awaitable[bytes]], course: Course, answers: ErrorAnswers
) -> bytes:
    try:
        return format_sse_event(event="result", data_str=(await work(course)).decode())
    except Exception as error:
        answer = answers.of(error)
        data = {"status": answer.status_code, **json.loads(bytes(answer.body))}
        return format_sse_event(event="error", data_str=json.dumps(data))
