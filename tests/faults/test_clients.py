"""Clients that go away, that send or read slowly or by half."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.raw_http import answer, connection, form, head, is_cut, request
from tests.photographs import file_of, photograph
from tests.server import Gateway, Server, gateway_before, wait_until

SMALL = file_of(photograph("rocket", 16, 16))
LARGE = file_of(photograph("rocket", 64, 64))
TIMEOUT_S = 2.0
STAGES = {"encode_seconds", "denoise_seconds", "decode_seconds"}  # as the log has them
SOON_S = TIMEOUT_S + 8  # for a machine that is busy with others


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[Gateway]:
    """One that has little patience and works on one request at a time."""
    patience = str(TIMEOUT_S)
    settings = {"UPLOAD_TIMEOUT_S": patience, "CLIENT_TIMEOUT_S": patience, "MAX_IN_PROGRESS": "1"}
    with gateway_before(server, **settings) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _all_is_well_after(gateway: Gateway) -> Iterator[None]:
    """No place is held, no connection is open, nothing is called a bug, the next request works."""
    yield
    wait_until(lambda: places(gateway) == (0, 0), SOON_S)
    assert gateway.upscale(SMALL, num_inference_steps=1)
    wait_until(lambda: connections(gateway) == 0, SOON_S)
    assert not [line for line in gateway.log() if line["level"] == "error"]


def places(gateway: Gateway) -> tuple[float, float]:
    names = ("upscale_in_progress", "upscale_waiting")
    taken, waiting = map(gateway.gateway_metric, names)
    return taken, waiting


def connections(gateway: Gateway) -> int:
    """Of clients, those of tests included."""
    port = int(gateway.url.rsplit(":", 1)[1])
    open_ones = psutil.Process(gateway.process.pid).net_connections()
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in open_ones)


def test_going_away_in_the_upload(gateway: Gateway) -> None:
    cancelled = gateway.gateway_metric("upscale_cancelled_total")
    body = form(LARGE)
    with connection(gateway) as client:
        client.sendall(head(len(body)) + body[:-1000])
        wait_until(lambda: places(gateway) == (1, 0), SOON_S)
    wait_until(lambda: gateway.gateway_metric("upscale_cancelled_total") == cancelled + 1, 1)


def test_going_away_in_the_queue(gateway: Gateway) -> None:
    with connection(gateway) as first, connection(gateway) as second:
        first.sendall(request(SMALL, num_inference_steps=1000))
        wait_until(lambda: places(gateway) == (1, 0), SOON_S)
        second.sendall(request(SMALL))
        wait_until(lambda: places(gateway) == (1, 1), SOON_S)
        second.close()
        wait_until(lambda: places(gateway) == (1, 0), SOON_S)


def test_going_away_at_any_moment(gateway: Gateway, server: Server) -> None:
    """From the first byte of the upload to the last of the answer, and so in every stage."""
    fields = {"num_inference_steps": 4, "seed": 4}
    expected = gateway.upscale(LARGE, **fields)
    began = time.monotonic()
    assert gateway.upscale(LARGE, **fields) == expected
    seconds, moments = time.monotonic() - began, 12
    before = len(gateway.log())
    lasting: set[str] = set()
    moment = 0
    # On, where the machine has become slower, until the last stage was reached.
    while moment < moments or not lasting >= STAGES:
        with connection(gateway) as client:
            client.sendall(request(LARGE, **fields))
            time.sleep(seconds * moment / moments)
        wait_until(lambda: places(gateway) == (0, 0), SOON_S)
        moment += 1
        wait_until(lambda: len(gateway.log()) >= before + moment, SOON_S)  # noqa: B023
        lasting = {name for line in gateway.log()[before:] for name in line if "_seconds" in name}
        assert moment < 10 * moments, f"no stage but {lasting} was reached"
    wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 0, SOON_S)
    assert gateway.upscale(LARGE, **fields) == expected


def test_half_a_connection_is_none(gateway: Gateway) -> None:
    """Who says that nothing more comes counts as gone, as with nginx and Go's server."""
    cancelled = gateway.gateway_metric("upscale_cancelled_total")
    with connection(gateway) as client:
        client.sendall(request(SMALL, num_inference_steps=1000))
        wait_until(lambda: places(gateway) == (1, 0), SOON_S)
        client.shutdown(socket.SHUT_WR)
        assert is_cut(client)
        wait_until(lambda: gateway.gateway_metric("upscale_cancelled_total") == cancelled + 1, 5)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        b"POST /upscale HTTP/1.1\r\nHost: x\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nG",
    ],
)
def test_a_head_that_does_not_come_is_not_waited_for(gateway: Gateway, sent: bytes) -> None:
    with connection(gateway) as client:
        client.sendall(sent)
        began = time.monotonic()
        assert is_cut(client)
        assert time.monotonic() - began > TIMEOUT_S - 1


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(gateway: Gateway) -> None:
    with connection(gateway) as client, contextlib.suppress(ConnectionError):
        began = time.monotonic()
        for byte in b"POST /upscale HTTP/1.1\r\nX: " + b"x" * 1000:
            client.sendall(bytes([byte]))
            time.sleep(0.05)
    assert time.monotonic() - began > TIMEOUT_S - 1


def test_a_body_that_comes_byte_by_byte_is_not_waited_for(gateway: Gateway) -> None:
    body = form(SMALL)
    with connection(gateway) as client:
        client.sendall(head(len(body)))
        began, sent = time.monotonic(), 0
        while not select.select([client], [], [], 0.05)[0]:
            sent += client.send(body[sent : sent + 1])
        assert time.monotonic() - began > TIMEOUT_S - 1
        status, message = answer(client)
    assert status == 400
    assert b"The request body did not arrive within 2 s." in message


def test_a_refused_body_is_not_waited_for(gateway: Gateway) -> None:
    """The answer would be another one if it were: that the body did not arrive."""
    with connection(gateway) as client:
        client.sendall(head(2_000_000_000))
        status, message = answer(client)
        assert status == 400
        assert b"is larger than" in message
        assert is_cut(client)
