"""`upscale serve`: Triton and the gateway, started, watched and stopped together."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from embedded.default_repository import default_repository
from embedded.triton import Triton, has_ended
from export.manifest import changed_file
from gateway.app import create_app
from gateway.http.deadlines import Deadlines
from gateway.serve import ServeError, bind, http_server
from gateway.settings import Settings
from gateway.tasks import in_background
from gateway.telemetry.traces import traces_url
from gateway.triton.client import TritonClient
from gateway.triton.pool import TritonPool
from gateway.triton.readiness import LOADING, Readiness

WATCH_INTERVAL_S = 0.5  # between two looks at Triton's processes
END_TIMEOUT_S = 10.0  # for Triton to end or to serve, once one of its stubs has ended
START_INTERVAL_S = 2.0  # between two tries to start it
GATEWAY_STOP_TIMEOUT_S = 30


async def serve(
    repository: Path | None,
    settings: Settings,
    say: Callable[[str], None],
    triton_grpc_port: int = 0,
) -> None:
    """Serve a repository until SIGINT or SIGTERM; None: the demo model's, exported if need be.

    It listens from the first moment, and says what goes on; nothing is served before the files are
    known to be those that were exported, which is checked while Triton loads them.
    Raises ServeError or TritonError; either way no process and no shared memory stays behind.
    """
    listener = bind(settings.host, settings.port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = TritonPool(TritonClient, settings.health_interval_s)
    deadlines = Deadlines()
    server = http_server(create_app(settings, pool, deadlines), settings, GATEWAY_STOP_TIMEOUT_S)
    gateway = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    serving = asyncio.create_task(
        _serve_models(repository, pool, url, settings, triton_grpc_port, say)
    )
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({gateway, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        say("Stopping.")
        stopping.cancel()
        deadlines.end(GATEWAY_STOP_TIMEOUT_S)
        server.should_exit = True
        await gateway  # Triton is kept running for the last requests
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


async def _serve_models(
    repository: Path | None,
    pool: TritonPool,
    url: str,
    settings: Settings,
    triton_grpc_port: int,
    say: Callable[[str], None],
) -> None:
    """Keep a Triton running until cancelled; url: the gateway's."""
    if repository is None:
        say(f"The gateway is at {url}; a model is got ready.")
        pool.waits_for = "the demo model is exported, once, which takes about a minute"
        repository = await default_repository(say)
        pool.waits_for = LOADING
    descriptor, log_path = tempfile.mkstemp(prefix="upscale-triton-", suffix=".log")
    os.close(descriptor)
    endpoint = settings.otel_exporter_otlp_endpoint
    traces = None if endpoint is None else traces_url(endpoint)
    triton = Triton(repository, Path(log_path), triton_grpc_port, traces_url=traces)
    try:
        triton.start()
        say(f"The gateway is at {url}; Triton loads the engines.")
        readiness = pool.add(triton.url).readiness
        readiness.allowed.clear()
        async with in_background(_announce(readiness, url, triton, say)):
            await _keep_checked(triton, readiness, say)
    except asyncio.CancelledError:  # as when it is asked to stop
        await asyncio.to_thread(triton.stop)
        Path(log_path).unlink()  # kept when something went wrong
        raise
    except BaseException:
        await asyncio.to_thread(triton.kill)  # it loads what nobody may be served by
        raise


async def _keep_checked(triton: Triton, readiness: Readiness, say: Callable[[str], None]) -> None:
    """Keep it running while its files are checked and afterwards."""
    checking = asyncio.create_task(_check_files(triton.repository, readiness))
    keeping = asyncio.create_task(_keep_running(triton, readiness, say))
    try:
        await asyncio.wait({checking, keeping}, return_when=asyncio.FIRST_COMPLETED)
        await checking  # a file that was changed is why Triton may have ended
        await keeping
    finally:
        checking.cancel()
        keeping.cancel()
        await asyncio.gather(checking, keeping, return_exceptions=True)


async def _check_files(repository: Path, readiness: Readiness) -> None:
    """Let it serve once its files are those that were exported. Raises ServeError."""
    if why := await asyncio.to_thread(changed_file, repository):
        raise ServeError(why)
    readiness.allowed.set()


async def _announce(
    readiness: Readiness, url: str, triton: Triton, say: Callable[[str], None]
) -> None:
    await readiness.ready.wait()
    say(f"Triton: grpc://{triton.url} and {triton.metrics_url}")
    say(f"Upscaling at {url}/upscale")


async def _keep_running(
    triton: Triton, readiness: Readiness, say: Callable[[str], None]
) -> NoReturn:
    """Start Triton again when it or one of its stubs ended, or when it serves no more.

    It is killed, not asked to stop: what it worked on is lost or hangs, and the gateway sends that
    again. Raises TritonError when it has failed twice before it has ever served.
    """
    has_served = has_failed = False
    while True:
        await _wait_until(readiness.ready, triton)
        if not readiness.ready.is_set() and not has_served:
            with contextlib.suppress(TimeoutError):  # a model that does not load ends Triton, too
                async with asyncio.timeout(END_TIMEOUT_S):
                    await _wait_until(readiness.ready, triton, ())
        if readiness.ready.is_set():
            has_served = True
            await _wait_until(readiness.lost, triton, triton.stubs())
        if has_served:
            say("Triton has failed; starting it again.")
        elif has_failed:
            raise triton.failure()
        else:
            has_failed = True
            say(f"{triton.failure()} Starting it once more.")
        readiness.lose()
        while not await _started_again(triton, say):
            await asyncio.sleep(START_INTERVAL_S)


async def _started_again(triton: Triton, say: Callable[[str], None]) -> bool:
    """False where the machine has run out of something that may come back, such as memory."""
    try:
        await asyncio.to_thread(triton.kill)
        triton.start()
    except OSError as error:
        say(f"Triton cannot be started: {error}. Trying again.")
        return False
    return True


async def _wait_until(
    event: asyncio.Event, triton: Triton, stubs: Sequence[psutil.Process] | None = None
) -> None:
    """Wait for the event, or for the end of Triton or of one of its stubs.

    stubs: all of them; None: those that there are at each look, which costs more.
    """
    while not event.is_set() and triton.ended() is None:
        if any(map(has_ended, triton.stubs() if stubs is None else stubs)):
            return
        await asyncio.sleep(WATCH_INTERVAL_S)
