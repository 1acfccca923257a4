"""What a request may cost, in counts that no busy machine changes.

budget.json has the figures. A change that worsens one fails with the old and the new; where that is
meant, or where it is better now, write the new one there.
"""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.app import create_app
from gateway.settings import Settings
from gateway.triton.client import TritonClient
from gateway.triton.pool import TritonPool
from tests.photographs import file_of, photograph
from tests.server import Server

BUDGET: dict[str, float] = json.loads(Path(__file__).with_name("budget.json").read_text())
# Of connections and allocators, not of ours: window updates, pings, small objects.
NOISE = 0.01
SIDE, STEPS, SCALE = 64, 5, 4
RESULT_BYTES = (SCALE * SIDE) ** 2 * 3
SMALL, LONG = file_of(photograph("cat", SIDE, SIDE)), file_of(photograph("cat", 200, 8))


@pytest.fixture(scope="module")
def counted(server: Server) -> dict[str, float]:
    """Each figure of the budget, as it is now."""
    rows, calls = count_unet(server, SMALL)
    _, calls_long = count_unet(server, LONG)
    sent, received = asyncio.run(count_bytes(server))
    return {
        "calls of the UNet": calls,
        "rows of the UNet": rows,
        "calls of the UNet, 200 x 8": calls_long,
        "bytes to Triton": sent,
        "bytes from Triton": received,
        "memory of the gateway, in results": asyncio.run(peak_memory(server)) / RESULT_BYTES,
    }


@pytest.mark.parametrize("figure", BUDGET)
def test_a_request_costs_no_more_than_before(counted: dict[str, float], figure: str) -> None:
    old, new = BUDGET[figure], counted[figure]
    assert new <= old * (1 + NOISE), f"{figure}: {old:g} before, {new:g} now"


def test_every_figure_has_a_budget(counted: dict[str, float]) -> None:
    assert set(counted) == set(BUDGET)


def count_unet(server: Server, image: bytes) -> tuple[int, int]:
    """Rows and calls of one guided request."""
    before = server.counts("unet")
    server.upscale(image, num_inference_steps=STEPS, guidance_scale=9, seed=0)
    rows, calls = server.counts("unet")
    return rows - before[0], calls - before[1]


async def count_bytes(server: Server) -> tuple[int, int]:
    """To Triton and back, for one request on a connection that has served one before."""
    async with counting_proxy(server.triton_url) as (url, counts), gateway_to(url) as app:
        await post(app)
        before = list(counts)
        await post(app)
        return counts[0] - before[0], counts[1] - before[1]


async def peak_memory(server: Server) -> int:
    """Bytes that the gateway's Python and NumPy hold at most for one request."""
    async with gateway_to(server.triton_url) as app:
        await post(app)
        gc.collect()
        tracemalloc.start()
        try:
            await post(app)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@asynccontextmanager
async def gateway_to(triton_url: str) -> AsyncIterator[FastAPI]:
    """The gateway in this process, ready."""
    pool = TritonPool(TritonClient, 3600.0)
    try:
        await pool.add(triton_url).readiness.reach()
        yield create_app(Settings.from_environment(), pool)
    finally:
        await pool.close()


async def post(app: FastAPI) -> None:
    """One request, without a server or a client that would hold a body of its own."""
    fields = {"prompt": "a photo", "num_inference_steps": str(STEPS), "seed": "0"}
    request = httpx.Request("POST", "http://gateway/upscale", files={"image": SMALL}, data=fields)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/upscale",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": ("gateway", 80),
    }
    messages = iter([{"type": "http.request", "body": request.read()}])
    statuses = []

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        return await asyncio.Future()  # the client stays

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    assert statuses == [200]


@asynccontextmanager
async def counting_proxy(url: str) -> AsyncIterator[tuple[str, list[int]]]:
    """The address of a proxy to a server, and the bytes to it and back so far."""
    counts = [0, 0]
    host, port = url.split(":")
    pumps: list[asyncio.Task[None]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int) -> None:
        try:
            while content := await reader.read(2**16):
                counts[way] += len(content)
                writer.write(content)
                await writer.drain()
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection(host, int(port))
        pumps.append(asyncio.create_task(pump(reader, to_them, 0)))
        pumps.append(asyncio.create_task(pump(theirs, writer, 1)))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as proxy:
        own_host, own_port = proxy.sockets[0].getsockname()
        yield f"{own_host}:{own_port}", counts
        for task in pumps:  # gRPC keeps a closed channel's connection for a while
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
