"""Clients that do not take their turn, on real connections to an application of a few lines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from gateway.serve import bind, http_server
from gateway.settings import Settings

TIMEOUT_S = 0.3
SETTINGS: dict[str, Any] = {"client_timeout_s": TIMEOUT_S}
LONG_S = 20  # of a test that fails
ANSWER = bytes(20_000_000)  # more than kernels keep for a connection

Use = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def app() -> FastAPI:
    app = FastAPI()

    @app.get("/whole")
    async def whole() -> Response:
        return Response(ANSWER)

    @app.get("/parts")
    async def parts() -> StreamingResponse:
        async def stream() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield ANSWER[: len(ANSWER) // 100]

        return StreamingResponse(stream())

    @app.get("/slow")
    async def slow() -> Response:
        await asyncio.sleep(4 * TIMEOUT_S)
        return Response(b"done")

    return app


def run(use: Use) -> None:
    """Connect to a server; afterwards it has to end the connection by itself."""

    async def main() -> None:
        with bind("127.0.0.1", 0) as listener:
            server = http_server(app(), Settings(**SETTINGS), stop_timeout_s=1)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1000)
            async with asyncio.timeout(LONG_S):
                await use(reader, writer)
                while server.server_state.connections:
                    await asyncio.sleep(0.01)
            writer.close()
            server.should_exit = True
            await serving

    asyncio.run(main())


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def length(reader: asyncio.StreamReader) -> int:
    """Bytes that come until the connection ends."""
    received = 0
    with suppress(ConnectionResetError):
        while part := await reader.read(100_000):
            received += len(part)
    return received


@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_an_answer_that_is_not_read_is_given_up(path: str) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(get(path))
        await asyncio.sleep(4 * TIMEOUT_S)
        assert await length(reader) < len(ANSWER)

    run(use)


@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_an_answer_that_is_read_comes_whole(path: str) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(get(path))
        assert await length(reader) > len(ANSWER)

    run(use)


@pytest.mark.parametrize("sent", [b"", b"G", get("/nothing") + b"G"])
def test_a_head_that_does_not_come_is_given_up(sent: bytes) -> None:
    async def use(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    run(use)


def test_a_refused_body_that_does_not_end_is_given_up() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(1000))
                await writer.drain()
                await asyncio.sleep(0.01)

    run(use)


def test_time_that_the_server_takes_does_not_count() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(get("/slow"))
            assert await reader.readuntil(b"done")

    run(use)


def test_a_connection_that_is_used_lasts() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(40):
            writer.write(get("/nothing"))
            assert await reader.readuntil(b"Not Found")
            await asyncio.sleep(TIMEOUT_S / 10)

    run(use)


def test_connections_that_rest_outlive_a_proxys() -> None:
    """nginx's and AWS's load balancers' end after 60 s; who closes later meets no request."""
    server = http_server(app(), Settings(**SETTINGS), stop_timeout_s=1)
    assert server.config.timeout_keep_alive > 60
