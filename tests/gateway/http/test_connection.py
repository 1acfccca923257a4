"""Clients that do not take their turn, on real connections to an application of a few lines."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from uvicorn.server import ServerState

from gateway.http.connection import Connection
from gateway.serve import bind, http_server
from gateway.settings import Settings

TIMEOUT_S = 0.3
SETTINGS: dict[str, Any] = {"client_timeout_s": TIMEOUT_S, "keep_alive_s": TIMEOUT_S}
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


def run(use: Use, **settings: Any) -> None:
    """Connect to a server; afterwards it has to end the connection by itself."""

    async def main() -> None:
        with bind("127.0.0.1", 0) as listener:
            server = http_server(app(), Settings(**{**SETTINGS, **settings}), stop_timeout_s=1)
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


@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_an_answer_that_is_read_slowly_and_steadily_comes_whole(path: str) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        writer.write(get(path))
        received = 0
        for _ in range(40):  # many times the client's time in all
            received += len(await reader.readexactly(len(ANSWER) // 50))
            await asyncio.sleep(TIMEOUT_S / 10)
        assert received + await length(reader) > len(ANSWER)

    run(use)


class Transport(asyncio.Transport):
    """Of a client that reads what waits, whereupon more is written: `waiting` only ever grows."""

    waiting = 0
    is_aborted = False

    def get_write_buffer_size(self) -> int:
        self.waiting += 1
        return self.waiting

    def abort(self) -> None:
        self.is_aborted = True


def test_a_buffer_that_is_filled_again_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks may come at moments when more waits than before."""
    monkeypatch.setattr("gateway.http.connection.CHECK_INTERVAL_S", 0.01)

    async def main() -> None:
        config = uvicorn.Config(app(), log_config=None)
        connection = Connection(config, ServerState(), {}, timeout_s=0.1)
        transport = Transport()
        connection.connection_made(transport)
        for _ in range(40):
            await asyncio.sleep(0.01)
            connection.pause_writing()
            connection.resume_writing()
        assert not transport.is_aborted
        async with asyncio.timeout(LONG_S):
            while not transport.is_aborted:
                await asyncio.sleep(0.01)

    asyncio.run(main())


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
        for path, ending in (("/slow", b"done"), ("/nothing", b'Not Found"}')):
            writer.write(get(path))
            assert await reader.readuntil(ending)

    run(use)


def test_a_connection_is_kept_between_requests_for_longer_than_a_client_may_take() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pause_s in (4 * TIMEOUT_S, 0):
            writer.write(get("/nothing"))
            assert await reader.readuntil(b'Not Found"}')
            await asyncio.sleep(pause_s)

    run(use, keep_alive_s=7 * TIMEOUT_S)


def test_a_body_that_was_refused_is_not_waited_for() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert await reader.readuntil(b'Not Found"}')

    run(use, keep_alive_s=2 * LONG_S)


def test_a_head_that_began_before_the_last_answer_is_not_waited_for() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(get("/nothing") + b"G")
        assert await reader.readuntil(b'Not Found"}')

    run(use, keep_alive_s=2 * LONG_S)


def test_the_connection_is_kept_for_longer_than_proxies_keep_it() -> None:
    proxies_s = 60  # nginx' keepalive_timeout to a server, and load balancers'
    assert proxies_s < Settings.from_environment().keep_alive_s


def test_a_connection_that_is_used_lasts() -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(40):
            writer.write(get("/nothing"))
            assert await reader.readuntil(b"Not Found")
            await asyncio.sleep(TIMEOUT_S / 10)

    run(use)
