"""What bytes from a server mean, and what is sent, without a connection."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from client.api import (
    DEFAULT_RETRY_AFTER_S,
    Decoding,
    Form,
    Queued,
    Step,
    content_of_data_url,
    error_of,
    event_of,
    media_of,
    retry_after_s,
)
from client.errors import Busy, ImageFailed, ServerUnusable
from client.files import OutputFormat


def test_a_result() -> None:
    media = media_of('{"images":[{"url":"/media/a.png","seed":7,"nsfw":true}]}')
    assert (media.url, media.seed, media.nsfw) == ("/media/a.png", 7, True)


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"images":[]}', '{"images":[{"url":"x"}]}'])
def test_a_result_without_a_picture(text: str) -> None:
    with pytest.raises(ImageFailed, match="holds no picture"):
        media_of(text)


def test_events_that_are_shown() -> None:
    assert event_of("queued", '{"position":3}') == Queued(position=3)
    data = '{"step":1,"steps":20,"seconds_left":1.5}'
    assert event_of("progress", data) == Step(step=1, steps=20, seconds_left=1.5)
    data = '{"tile":1,"tiles":9,"seconds_left":1.5}'
    assert event_of("decoding", data) == Decoding(tile=1, tiles=9, seconds_left=1.5)
    assert event_of("progress", '{"step":1,"steps":20}') == Step(step=1, steps=20)


@pytest.mark.parametrize("kind", ["preview", "message", "later-invented"])
def test_events_that_are_not(kind: str) -> None:
    assert event_of(kind, "whatever") is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("queued", "{}"),
        ("progress", "x"),
        ("error", "x"),
        ("error", "{}"),
        ("error", "[]"),
        ("error", '{"status":null}'),
    ],
)
def test_unreadable_events(kind: str, data: str) -> None:
    with pytest.raises(ImageFailed, match=f"unreadable event '{kind}'"):
        event_of(kind, data)


def test_an_error_within_the_stream() -> None:
    with pytest.raises(Busy, match="The queue is full"):
        event_of("error", json.dumps({"status": 503, "detail": {"msg": "The queue is full."}}))
    with pytest.raises(ImageFailed, match="Out of memory"):
        event_of("error", json.dumps({"status": 500, "detail": {"msg": "Out of memory."}}))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "The image is too large.", ImageFailed),
        (401, "Invalid bearer token.", ServerUnusable),
        (403, "Not for you.", ServerUnusable),
        (429, "Slow down.", Busy),
        (500, "Something broke.", ImageFailed),
        (500, "Insufficient capacity: 8 wait.", Busy),
        (503, "The model is loading.", Busy),
    ],
)
def test_the_kind_of_an_error(status: int, message: str, kind: type[Exception]) -> None:
    error = error_of(status, {"detail": {"msg": message}})
    assert type(error) is kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "Not an integer"}, "and more"]},
            "seed: Not an integer; and more",
        ),
        (None, "The server answered 404 Not Found."),
        ({"detail": {}}, "The server answered 404 Not Found."),
        ([1], "The server answered 404 Not Found."),
    ],
)
def test_the_sentence_of_an_error(body: object, sentence: str) -> None:
    assert str(error_of(404, body)) == sentence


def test_a_status_that_nobody_knows() -> None:
    assert str(error_of(599, None)) == "The server answered 599."


def test_a_busy_server_says_when_to_come_back() -> None:
    error = error_of(503, None, {"retry-after": "7"})
    assert isinstance(error, Busy)
    assert error.retry_after_s == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, DEFAULT_RETRY_AFTER_S),
        ("12", 12),
        (" 0 ", 0),
        ("soon", DEFAULT_RETRY_AFTER_S),
        ("-1", DEFAULT_RETRY_AFTER_S),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0),
        ("Mon, 01 Jan 2024 00:00:00 -0000", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after_s(value) == seconds


def test_retry_after_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < retry_after_s(date) <= 90


def test_a_data_url() -> None:
    assert content_of_data_url("data:image/png;base64,iVBORw==") == b"\x89PNG"


@pytest.mark.parametrize(
    "url", ["data:image/png,x", "data:image/png;base64,*", "data:image/png;base64,i", "data:"]
)
def test_a_data_url_that_cannot_be_decoded(url: str) -> None:
    with pytest.raises(ImageFailed, match="cannot be decoded"):
        content_of_data_url(url)


def test_what_is_not_given_is_not_sent() -> None:
    assert Form("a cat").given == {"prompt": "a cat", "output_format": "png"}


def test_zero_false_and_empty_are_given() -> None:
    form = Form("", "", 0, safety_check=False, output_format=OutputFormat.WEBP, color_fix="wavelet")
    assert form.given == {
        "prompt": "",
        "negative_prompt": "",
        "seed": 0,
        "safety_check": False,
        "output_format": "webp",
        "color_fix": "wavelet",
    }


def test_a_seed_makes_it_repeatable() -> None:
    assert Form("a cat", seed=0).is_repeatable
    assert not Form("a cat").is_repeatable
