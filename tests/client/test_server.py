"""One image, over real HTTP on loopback."""

import asyncio
import socket

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse, RedirectResponse

from client.api import Event, Form, Queued, Step
from client.errors import Busy, ConnectionLost, ImageFailed, ServerUnusable, UsageError
from client.files import OutputFormat
from client.server import Picture, Server
from tests.client.loopback import (
    Answer,
    Loopback,
    Sent,
    data_url,
    event,
    plain,
    refused,
    result,
    stream,
)

FORM = Form("a cat", seed=7)


def upscaled(
    url: str,
    form: Form = FORM,
    token: str | None = None,
    timeout_s: float = 10,
    events: list[Event] | None = None,
) -> Picture:
    """The picture of the image `image`."""
    shown = [] if events is None else events

    async def run() -> Picture:
        async with Server(url, token, timeout_s) as server:
            return await server.upscale(b"image", form, shown.append)

    return asyncio.run(run())


def answering(url: str, nsfw: bool = False) -> Answer:
    """A result with this URL."""

    async def answer(_: Sent) -> Response:
        return stream(event("result", result(url, nsfw=nsfw)))

    return answer


def streaming(*parts: str, breaks: bool = False) -> Answer:
    async def answer(_: Sent) -> Response:
        return stream(*parts, breaks=breaks)

    return answer


def test_events_come_before_the_picture(loopback: Loopback) -> None:
    events: list[Event] = []
    picture = upscaled(loopback.url, events=events)
    assert picture == Picture(loopback.sent[0].picture, seed=7, nsfw=False)
    assert events == [
        Queued(position=1),
        Step(step=1, steps=2, seconds_left=0.5),
        Step(step=2, steps=2, seconds_left=0),
    ]


def test_a_server_without_events(loopback: Loopback) -> None:
    loopback.answer = plain
    assert upscaled(loopback.url) == Picture(loopback.sent[0].picture, seed=7, nsfw=False)


def test_what_is_sent(loopback: Loopback) -> None:
    form = Form(
        prompt="ein Kätzchen",
        negative_prompt="",
        seed=0,
        num_inference_steps=20,
        guidance_scale=1.5,
        noise_level=0,
        step_cache=3,
        safety_check=False,
        model_id="demo",
        output_format=OutputFormat.WEBP,
    )
    upscaled(f"{loopback.url}/", form, token="secret")
    [sent] = loopback.sent
    assert sent.image == b"image"
    assert sent.fields == {
        "prompt": "ein Kätzchen",
        "negative_prompt": "",
        "seed": "0",
        "num_inference_steps": "20",
        "guidance_scale": "1.5",
        "noise_level": "0",
        "step_cache": "3",
        "safety_check": "false",
        "model_id": "demo",
        "output_format": "webp",
    }
    assert sent.authorization == "Bearer secret"
    assert "text/event-stream" in sent.accept


def test_a_path_is_fetched_from_the_server_with_the_token(loopback: Loopback) -> None:
    loopback.media["a.png"] = b"\x89PNG\r\n\x1a\ncontent"
    loopback.answer = answering("/media/a.png", nsfw=True)
    picture = upscaled(loopback.url, token="secret")
    assert picture == Picture(loopback.media["a.png"], seed=7, nsfw=True)
    assert loopback.fetched == ["Bearer secret"]


def test_another_server_does_not_get_the_token(loopback: Loopback) -> None:
    with Loopback() as other:
        other.media["a.png"] = b"\x89PNG\r\n\x1a\ncontent"
        loopback.answer = answering(f"{other.url}/media/a.png")
        assert upscaled(loopback.url, token="secret").content == other.media["a.png"]
        assert other.fetched == [None]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("/media/none.png", "media/none.png, answered 404"),
        ("file:///etc/hostname", "cannot be fetched"),
        ("http://127.0.0.1:1/a.png", "could not be fetched"),
        (data_url(b"<html>"), "sent no png file"),
    ],
)
def test_a_picture_that_cannot_be_had(loopback: Loopback, url: str, sentence: str) -> None:
    loopback.answer = answering(url)
    with pytest.raises(ImageFailed, match=sentence):
        upscaled(loopback.url)


def test_another_format_than_asked_for(loopback: Loopback) -> None:
    loopback.answer = answering(data_url(b"\x89PNG\r\n\x1a\n"))
    with pytest.raises(ImageFailed, match="sent no webp file"):
        upscaled(loopback.url, Form("a cat", output_format=OutputFormat.WEBP))


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (refused(400, "The image is broken."), ImageFailed, "The image is broken."),
        (refused(401, "Invalid bearer token."), ServerUnusable, "Invalid bearer token."),
        (refused(503, "Loading.", retry_after="3"), Busy, "Loading."),
        (streaming(event("queued", {"position": 1})), ConnectionLost, "without a picture"),
        (streaming("event: result\ndata: {", breaks=True), ConnectionLost, "connection broke"),
        (streaming(event("progress", {})), ImageFailed, "unreadable event"),
        (
            streaming(event("error", {"status": 400, "detail": {"msg": "No."}})),
            ImageFailed,
            "No.",
        ),
    ],
)
def test_failures(loopback: Loopback, answer: Answer, kind: type[Exception], sentence: str) -> None:
    loopback.answer = answer
    with pytest.raises(kind, match=sentence) as failure:
        upscaled(loopback.url)
    assert type(failure.value) is kind


def test_busy_takes_the_time_from_the_header(loopback: Loopback) -> None:
    loopback.answer = refused(503, "Loading.", retry_after="3")
    with pytest.raises(Busy) as failure:
        upscaled(loopback.url)
    assert failure.value.retry_after_s == 3


def test_answers_that_are_no_json(loopback: Loopback) -> None:
    async def moved(_: Sent) -> Response:
        return RedirectResponse("/elsewhere", 308)

    loopback.answer = moved
    with pytest.raises(ImageFailed, match="answered 308 Permanent Redirect"):
        upscaled(loopback.url)

    async def empty(_: Sent) -> Response:
        return JSONResponse({})

    loopback.answer = empty
    with pytest.raises(ImageFailed, match="holds no picture"):
        upscaled(loopback.url)


def test_an_attempt_has_a_time_limit(loopback: Loopback) -> None:
    async def never(_: Sent) -> Response:
        await asyncio.sleep(5)
        raise AssertionError("the client waits for ever")

    loopback.answer = never
    with pytest.raises(ImageFailed, match=r"within 0\.2 s; allow more with --timeout"):
        upscaled(loopback.url, timeout_s=0.2)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerUnusable, match=f"127.0.0.1:{port} cannot be reached"):
        upscaled(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://host", "http://", "http://host:port", "x"]
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        Server(url, None, 1)


@pytest.mark.parametrize("token", ["two words", "line\n", "ключ"])
def test_tokens_that_no_header_holds(token: str) -> None:
    with pytest.raises(UsageError, match="printable ASCII"):
        Server("http://host", token, 1)
