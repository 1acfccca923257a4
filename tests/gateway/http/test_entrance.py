"""What is refused before a body is read, and what while it arrives."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr
from starlette.types import Message, Scope

from gateway.http.capacity import Capacity
from gateway.http.entrance import Entrance
from gateway.http.error_answers import ErrorAnswers, ErrorProfile, add_error_handlers
from gateway.settings import Settings


def head(path: str = "/upscale", **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": pairs,
        "http_version": "1.1",
    }


def ask(
    scope: Scope, body: Sequence[bytes | None], capacity: Capacity | None = None, **settings: Any
) -> tuple[int, str, int]:
    """Status, message and how many parts of the body were read; after the last one, silence."""
    read = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        if read == len(body):
            await asyncio.sleep(60)
        read += 1
        if body[read - 1] is None:  # the client went away
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body[read - 1], "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> None:
        app = FastAPI()

        @app.post("/upscale")
        async def upscale(request: Request) -> int:
            return len(await request.body())

        error_answers = ErrorAnswers(ErrorProfile.HTTP)
        add_error_handlers(app, error_answers)
        app.add_middleware(
            Entrance,
            settings=Settings(**settings),
            capacity=capacity or Capacity(1, 0),
            error_answers=error_answers,
        )
        await app(scope, receive, send)

    asyncio.run(main())
    message = json.loads(sent[1]["body"])
    return sent[0]["status"], message["detail"]["msg"], read


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic right", "Bearer", "Bearer \xe9"])
def test_a_wrong_token_is_refused_unread(token: str) -> None:
    status, message, read = ask(head(authorization=token), [b"x"], auth_token=SecretStr("right"))
    assert (status, message, read) == (401, "Invalid bearer token.", 0)


@pytest.mark.parametrize("letters", ["right", "r\xe9\xdft", "\u6b63"])
def test_the_right_token_is_let_in(letters: str) -> None:
    """As curl sends it: in UTF-8."""
    scope = head(authorization=f"Bearer {letters}", content_length="11")
    status, _, _ = ask(scope, [], auth_token=SecretStr(letters), max_body_bytes=10)
    assert status == 413


def test_a_length_that_python_reads_as_no_number_is_too_large() -> None:
    assert ask(head(content_length="9" * 5000), [b"x"])[::2] == (413, 0)


def test_who_goes_away_in_the_upload_is_told_nothing_and_counted() -> None:
    gone = [b"x", None]
    status, _, _ = ask(head(), gone)
    assert status == 499


def test_an_announced_body_that_is_too_large_is_refused_unread() -> None:
    status, message, read = ask(head(content_length="11"), [b"x"], max_body_bytes=10)
    assert (status, read) == (413, 0)
    assert message == "The request body is larger than 10 bytes."


def test_a_body_that_grows_too_large_is_read_no_further() -> None:
    status, _, read = ask(head(), [b"x" * 6] * 9, max_body_bytes=10)
    assert (status, read) == (413, 2)


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    capacity = Capacity(1, 0)
    status, message, read = ask(head(), [b"x"], capacity, upload_timeout_s=0.05)
    assert (status, read) == (408, 1)
    assert message == "The request body did not arrive within 0.05 s."
    assert capacity.taken == 0


def test_busy_is_said_unread() -> None:
    capacity = Capacity(1, 0)
    with capacity.place():
        status, message, read = ask(head(), [b"x"], capacity)
    assert (status, read) == (429, 0)
    assert "insufficient capacity" in message


def test_other_paths_are_let_through() -> None:
    status, message, _ = ask(head("/health"), [b"x"], auth_token=SecretStr("right"))
    assert (status, message) == (404, "Not Found")
