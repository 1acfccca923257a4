"""Requests that no client of ours sends: endless, malformed, doubled, wrongly encoded."""

import contextlib
import select
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from gateway.triton.readiness import Readiness
from tests.faults.memory import MIB, bounded
from tests.faults.raw_http import END, answer, connection, form, head, is_cut, part, request
from tests.gateway.test_app import FakeTriton, run
from tests.photographs import file_of, photograph
from tests.server import Server

SMALL = file_of(photograph("rocket", 16, 16))
LARGE_BODY = 2_000_000_000
TOO_LARGE = b"The request body is larger than 10000000 bytes."
PROMPT, CHECK = part("prompt", b"x"), part("safety_check", b"false")
IMAGE = part("image", SMALL, '; filename="i"')
GOOD = PROMPT + CHECK + IMAGE + END
MULTIPART = "multipart/form-data; boundary=b"


@pytest.fixture
def served(server: Server) -> Iterator[Server]:
    """The next request works."""
    yield server
    assert server.upscale(SMALL, num_inference_steps=1)


def pour(client: socket.socket, piece: bytes, most: int) -> int:
    """Send pieces until the server answers or ends the connection; bytes that went out."""
    sent = 0
    while sent < most and not select.select([client], [], [], 0)[0]:
        try:
            sent += client.send(piece)
        except ConnectionError:
            break
    return sent


def test_two_announced_gigabytes_are_refused_before_they_are_sent(served: Server) -> None:
    with connection(served) as client, bounded(50 * MIB, served.process.pid):
        client.sendall(head(LARGE_BODY))
        status, message = answer(client)
        assert status == 400
        assert TOO_LARGE in message
        assert pour(client, bytes(MIB), LARGE_BODY) <= LARGE_BODY + MIB


def test_an_endless_body_is_read_no_further(served: Server) -> None:
    """In chunks: nobody knows how many come."""
    begin = PROMPT + IMAGE.removesuffix(b"\r\n")
    with connection(served) as client, bounded(50 * MIB, served.process.pid):
        client.sendall(head(None) + b"%x\r\n%s\r\n" % (len(begin), begin))
        piece = b"100000\r\n" + bytes(MIB) + b"\r\n"
        assert pour(client, piece, LARGE_BODY) < 30 * MIB  # what lies in buffers counts too
        status, message = answer(client)
        assert status == 400
        assert TOO_LARGE in message
        assert is_cut(client)


# Lines of a head -> the statuses that they may get; 0: the connection ends at once.
TOO_LONG = {0, 400}  # who sends on and on may find it ended before he has read the answer
HEADS: dict[str, tuple[bytes, set[int]]] = {
    # 16 KiB may wait for the rest of a head; one that comes in a piece may be larger.
    "10000 lines": (b"".join(b"X-%d: y\r\n" % n for n in range(10_000)), {200, *TOO_LONG}),
    "a line of a million bytes": (b"X: " + b"y" * 1_000_000 + b"\r\n", TOO_LONG),
    "two lengths": (b"Content-Length: 3\r\n", {400}),
    "a length of 5000 digits": (b"Content-Length: " + b"9" * 5000 + b"\r\n", {400}),
    "a negative length": (b"Content-Length: -1\r\n", {400}),
    "a line without a name": (b": y\r\n", {400}),
    "a folded line": (b"X: y\r\n z\r\n", {200}),
    "a bare line feed": (b"X: y\nZ: y\r\n", {200}),
    "a NUL": (b"X: \0\r\n", {400}),
    "no UTF-8": (b"Accept: \xff\xfe\r\nAuthorization: \xff\r\nX-Request-ID: \xff\r\n", {200}),
    "two hosts": (b"Host: y\r\n", {400}),
    "an unknown framing": (b"Transfer-Encoding: gzip\r\n", {400, 501}),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(served: Server, name: str) -> None:
    lines, expected = HEADS[name]
    body = form(SMALL, num_inference_steps=1)
    status = 0
    with connection(served) as client, contextlib.suppress(ConnectionError):
        client.sendall(head(len(body)).removesuffix(b"\r\n") + lines + b"\r\n" + body)
        status, _ = answer(client)
    assert status in expected


def test_a_request_in_front_of_another_is_not_taken_for_two(served: Server) -> None:
    """Of length and chunks together, chunks count, as RFC 9112 has it; the rest is no request."""
    hidden = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connection(served) as client:
        client.sendall(head(len(hidden) + 5, b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + hidden)
        assert answer(client)[0] in (400, 422)


REST = CHECK + IMAGE + END
NESTED = part("image", IMAGE + END, '; filename="i"', "Content-Type: " + MULTIPART)
BASE64 = b"Content-Transfer-Encoding: base64\r\n"
ODD = part("model_id", b"\\ud800\xff-")
CHARSETS = {"utf-7": 400, "utf-16": 422, "unicode_escape": 400, "idna": 400, "undefined": 400}
# What a body is -> the body, its type and the status that it gets.
BODIES: dict[str, tuple[bytes, str, int]] = {
    "a form": (GOOD, MULTIPART, 200),
    "two prompts": (PROMPT + GOOD, MULTIPART, 200),
    "two images": (IMAGE + GOOD, MULTIPART, 200),
    "an image as text, then as a file": (part("image", b"x") + GOOD, MULTIPART, 200),
    "an image as a file, then as text": (CHECK + IMAGE + part("image", b"x") + END, MULTIPART, 422),
    "a prompt as a file": (part("prompt", b"x", '; filename="p"') + IMAGE + END, MULTIPART, 422),
    "1001 fields": (PROMPT * 1001 + GOOD, MULTIPART, 400),
    "1001 files": (IMAGE * 1001 + GOOD, MULTIPART, 400),
    "a field of 2 MB": (part("prompt", b"x" * 2_000_000) + GOOD, MULTIPART, 400),
    "a name of 1 MB": (part("n" * 1_000_000, b"x") + GOOD, MULTIPART, 400),
    "100000 lines in a part": (part("x", b"x", "", *["a: b"] * 100_000) + GOOD, MULTIPART, 400),
    "a part without a name": (GOOD.replace(b'; name="prompt"', b""), MULTIPART, 400),
    "a part without a head": (b"--b\r\n\r\nx\r\n" + GOOD, MULTIPART, 400),
    "line feeds alone": (GOOD.replace(b"\r\n", b"\n"), MULTIPART, 400),
    "something in front": (b"x\r\n" + GOOD, MULTIPART, 400),
    "something behind": (GOOD + b"x" * 100_000, MULTIPART, 200),
    "no end": (GOOD.removesuffix(END), MULTIPART, 422),
    "an end alone": (END, MULTIPART, 422),
    "nothing": (b"", MULTIPART, 422),
    "a form in a form": (PROMPT + CHECK + NESTED + END, MULTIPART, 400),
    "base64, as mail has it": (GOOD.replace(b'"i"\r\n', b'"i"\r\n' + BASE64), MULTIPART, 200),
    "a path for a file's name": (GOOD.replace(b'"i"', b'"../../etc/\0passwd"'), MULTIPART, 200),
    "a boundary of 1000 bytes": (GOOD, "multipart/form-data; boundary=" + "b" * 1000, 400),
    "no boundary": (GOOD, "multipart/form-data; boundary=", 400),
    "half a quotation": (GOOD, 'multipart/form-data; boundary="b', 400),
    "another boundary": (GOOD, "multipart/form-data; boundary=c", 400),
    "a million pairs": (b"a&" * 1_000_000, "application/x-www-form-urlencoded", 400),
    "JSON, a million deep": (b"[" * 1_000_000, "application/json", 400),
    "XML": (b"<x/>", "text/xml", 422),
    "no type": (GOOD, "", 422),
    "a prompt that is no UTF-8": (part("prompt", b"\xff\xed\xa0\x80") + REST, MULTIPART, 200),
    "a prompt of NULs": (part("prompt", b"\0\0") + REST, MULTIPART, 200),
    "4000 digits": (part("num_inference_steps", b"9" * 4000) + GOOD, MULTIPART, 400),
    "5000 digits": (part("num_inference_steps", b"9" * 5000) + GOOD, MULTIPART, 422),
    **{
        f"the charset {name}": (ODD + GOOD, f"{MULTIPART}; charset={name}", status)
        for name, status in CHARSETS.items()
    },
}


# Starlette leaves the file of a part that does not end to the garbage collector, which closes it.
unended = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@unended
@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str) -> None:
    body, kind, expected = BODIES[name]

    async def use(client: httpx.AsyncClient, _: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        response = await client.post("/upscale", content=body, headers={"Content-Type": kind})
        assert response.status_code == expected, response.text
        assert response.headers["content-type"] == "application/json"

    run(use)


def mutated(body: bytes, random: np.random.Generator) -> bytes:
    """A few bytes turned, a slice cut out, doubled or moved."""
    copy = bytearray(body)
    for place in random.integers(0, len(copy), random.integers(0, 4)):
        copy[place] = random.integers(256)
    start, end = sorted(random.integers(0, len(copy), 2))
    kind = random.integers(4)
    if kind == 0:
        del copy[start : min(end, start + 40)]
    elif kind == 1:
        copy[start:start] = copy[start:end]
    elif kind == 2:
        copy[start:start] = random.bytes(random.integers(1, 9))
    return bytes(copy)


@unended
@pytest.mark.parametrize("times", [500, pytest.param(20_000, marks=pytest.mark.long)])
def test_mutated_forms(times: int) -> None:
    """Others in every run; a failure shows the form."""
    random = np.random.default_rng()

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        for _ in range(times):
            content = mutated(GOOD, random)
            response = await client.post(
                "/upscale", content=content, headers={"Content-Type": MULTIPART}
            )
            assert response.status_code in (200, 400, 422), content

    run(use)


@pytest.mark.parametrize("times", [50, pytest.param(3000, marks=pytest.mark.long)])
def test_mutated_requests(served: Server, times: int) -> None:
    """On the wire: what is no request gets 400, what is half of one nothing."""
    random = np.random.default_rng()
    good = request(SMALL, num_inference_steps=1)
    for _ in range(times):
        content = mutated(good, random)
        with connection(served) as client:
            client.sendall(content)
            if select.select([client], [], [], 0.1)[0]:
                status = answer(client)[0]
                assert status < 500, content
    assert not [line for line in served.log() if line["level"] == "error"]
