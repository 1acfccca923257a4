"""HTTP by the byte: what no HTTP library would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

from tests.server import Server

MULTIPART = b"Content-Type: multipart/form-data; boundary=b"
END = b"--b--\r\n"
TIMEOUT_S = 60  # of a test that fails


@contextmanager
def connection(server: Server, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """receive_buffer: how much the client's kernel takes before the client reads, bytes."""
    address = urlsplit(server.url)
    with socket.socket() as client:
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(TIMEOUT_S)
        client.connect((address.hostname, address.port))
        yield client


def part(name: str, value: bytes, disposition: str = "", *lines: str) -> bytes:
    """One field of a form; disposition: what stands after its name."""
    head = [f'Content-Disposition: form-data; name="{name}"{disposition}', *lines]
    return "\r\n".join(["--b", *head, "", ""]).encode() + value + b"\r\n"


def form(image: bytes, **fields: object) -> bytes:
    """A body with everything that it needs."""
    parts = [part(name, str(value).encode()) for name, value in {"prompt": "x", **fields}.items()]
    return b"".join([*parts, part("image", image, '; filename="i"'), END])


def head(length: int | None, *lines: bytes) -> bytes:
    """length: of the body, None for one in chunks."""
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"\r\n".join(
        [b"POST /upscale HTTP/1.1", b"Host: x", MULTIPART, framing, *lines, b"", b""]
    )


def request(image: bytes, **fields: object) -> bytes:
    """Head and body of a good one."""
    body = form(image, **fields)
    return head(len(body)) + body


def answer(client: socket.socket) -> tuple[int, bytes]:
    """Status and body; fails when the connection ends before."""
    response = HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def is_cut(client: socket.socket) -> bool:
    """Wait for the server's end of the connection: nothing more comes from there."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
