"""Which type an Accept header asks for."""

import pytest

from gateway.http.accept import preferred

OFFERED = ("text/event-stream", "image/webp", "image/png", "application/json")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/json, text/event-stream;q=0", "application/json"),
        ("application/json, text/event-stream;q=0.1", "application/json"),
        ("application/json;q=0.1, text/event-stream", "text/event-stream"),
        ("TEXT/EVENT-STREAM", "text/event-stream"),
        ("text/event-stream, application/json", "text/event-stream"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("text/event-stream;q=0.5, */*", "application/json"),
        ("text/*", "text/event-stream"),
        ("image/png", "image/png"),
        ("image/*", "image/webp"),
        ("image/*, image/png", "image/png"),
        ("image/*, image/webp;q=0", "image/png"),
        ("image/png;q=0.2, */*;q=0.1", "image/png"),
        ("application/json, text/plain, */*", "application/json"),
        ("image/png;level=1 ; Q=1", "image/png"),
        ("image/png;q=much", "application/json"),
        (",;,q=1", "application/json"),
    ],
)
def test_the_best_is_chosen(accept: str, expected: str) -> None:
    assert preferred(accept, OFFERED, "application/json") == expected
