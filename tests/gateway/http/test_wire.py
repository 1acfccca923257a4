"""HTTP's habits as bytes on a connection to the application, over a Triton that is a class."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.serve import bind, http_server
from gateway.settings import Settings
from gateway.triton.pool import TritonPool
from tests.gateway.test_app import IMAGE, FakeTriton

Use = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATHS = ("/health", "/livez", "/readyz", "/version", "/model", "/hardware/info", "/openapi.json")


def run(use: Use, **settings: Any) -> None:
    """One connection; it is the only one that the server has."""

    async def main() -> None:
        pool = TritonPool(lambda _: FakeTriton(), 3.0)  # type: ignore[arg-type, return-value]
        await pool.add("triton:8001").readiness.reach()
        with bind("127.0.0.1", 0) as listener:
            chosen = Settings(**settings)
            server = http_server(create_app(chosen, pool), chosen, stop_timeout_s=1)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            async with asyncio.timeout(60):
                await use(reader, writer)
            writer.close()
            server.should_exit = True
            await serving

    asyncio.run(main())


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
    return int(line.split()[1]), headers


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, headers = await head_of(reader)
    return status, await reader.readexactly(int(headers["content-length"]))


def test_head_sends_the_head_of_get_and_no_body() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for path in PATHS:
            for method in ("GET", "HEAD", "GET"):
                writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            first, body = await answer_of(reader)
            status, headers = await head_of(reader)
            assert (first, status, int(headers["content-length"])) == (200, 200, len(body)), path
            assert (await answer_of(reader))[0] == 200  # what came next was no body

    run(use)


@pytest.mark.parametrize("target", ["http://other:8000/health", "HTTPS://x/health", "/health"])
def test_targets_in_absolute_form(target: str) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await answer_of(reader) == (200, b'{"status":"OK"}')

    run(use)


def test_a_post_in_absolute_form_passes_the_entrance() -> None:
    """The checks before the body go by the path as well."""

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST http://x/upscale HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (await answer_of(reader))[0] == 401

    run(use, auth_token="sesame")


def test_a_pooled_post_is_answered_after_a_rest() -> None:
    """And the setting says for how long."""
    request = httpx.Request(
        "POST", "http://x/upscale", files={"image": IMAGE}, data={"prompt": "x", "seed": "bad"}
    )
    body = request.read()
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    post = f"POST /upscale HTTP/1.1\r\n{lines}\r\n".encode() + body

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(post)
            assert (await answer_of(reader))[0] == 422
            await asyncio.sleep(0.2)
        assert await reader.read() == b""  # closed when its time is over, and not before

    run(use, keep_alive_s=1)
