"""The gateway as a process of its own, before Tritons that somebody else runs."""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.http.connection import Connection
from gateway.http.deadlines import Deadlines
from gateway.settings import Settings
from gateway.tasks import in_background
from gateway.triton.addresses import addresses_of
from gateway.triton.client import TritonClient
from gateway.triton.pool import TritonPool

ANNOUNCE_INTERVAL_S = 0.1
SEND_TIMEOUT_S = 5


class ServeError(Exception):
    """The server could not start or had to stop; the message says why."""


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve what the Tritons at TRITON_URL serve until SIGINT or SIGTERM.

    It may start before Triton and outlive it: /readyz says whether requests would be served. At the
    end the requests that it has taken are finished. Raises ServeError or ConfigurationError.
    """
    with bind(settings.host, settings.port) as listener:
        pool = TritonPool(
            TritonClient, settings.health_interval_s, addresses_of(settings.triton_url)
        )
        deadlines = Deadlines()
        app = create_app(settings, pool, deadlines)
        server = http_server(app, settings, settings.request_timeout_s)

        def drain() -> None:
            deadlines.end(settings.request_timeout_s)
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, drain)
        host, port = listener.getsockname()[:2]
        say(f"The gateway is at http://{host}:{port}; waiting for Triton at {settings.triton_url}.")
        async with in_background(_announce(pool, f"http://{host}:{port}", say)):
            await server.serve(sockets=[listener])
        say("Stopped.")


async def _announce(pool: TritonPool, url: str, say: Callable[[str], None]) -> None:
    while not pool.ready():
        await asyncio.sleep(ANNOUNCE_INTERVAL_S)
    say(f"Upscaling at {url}/upscale")


def http_server(app: FastAPI, settings: Settings, stop_timeout_s: float) -> uvicorn.Server:
    """stop_timeout_s: how long requests may go on after the signal to stop, seconds.

    Those that are given up then have a little longer for their answers to be sent.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=partial(Connection, timeout_s=settings.client_timeout_s),  # type: ignore[arg-type]
            server_header=False,  # what serves is nobody's business
            log_config=None,  # ours: gateway/telemetry/log.py
            access_log=False,
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # a fraction works too
            timeout_graceful_shutdown=math.ceil(stop_timeout_s) + SEND_TIMEOUT_S,
        )
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ServeError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, every small
    # answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        with contextlib.closing(listener):
            raise ServeError(
                f"PORT={port} on HOST={host} cannot be used: {error.strerror}; set another."
            ) from error
    return listener
