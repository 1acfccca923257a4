"""Targets in absolute form, as ASGI's scope."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.http.request_target import AbsoluteTargets


def seen(target: str) -> tuple[str, bytes, str]:
    """Path, raw path and host that the application sees."""
    scopes: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        scopes.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "path": target,
        "raw_path": target.encode(),
        "headers": [(b"host", b"own"), (b"accept", b"*/*")],
    }
    asyncio.run(AbsoluteTargets(app)(scope, receive, send))
    [found] = scopes
    return found["path"], found["raw_path"], dict(found["headers"])[b"host"].decode()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/health", ("/health", b"/health", "own")),
        ("http://host:8000/health", ("/health", b"/health", "host:8000")),
        ("HTTPS://host/", ("/", b"/", "host")),
        ("http://host", ("/", b"/", "host")),
        ("/http://host/health", ("/http://host/health", b"/http://host/health", "own")),
        ("http:health", ("http:health", b"http:health", "own")),
        ("ftp://host/x", ("ftp://host/x", b"ftp://host/x", "own")),
        ("http://[host/x", ("http://[host/x", b"http://[host/x", "own")),
        ("*", ("*", b"*", "own")),
    ],
)
def test_the_path_and_the_host_that_count(target: str, expected: tuple[str, bytes, str]) -> None:
    assert seen(target) == expected
