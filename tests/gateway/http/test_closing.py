"""The end of the server, as who asks it sees it."""

import asyncio

import httpx

from gateway.app import create_app
from gateway.http.deadlines import Deadlines
from gateway.settings import Settings
from gateway.triton.pool import TritonPool
from tests.gateway.test_app import FakeTriton, post


def test_answers_close_their_connections_once_the_server_ends() -> None:
    async def main() -> None:
        triton = FakeTriton()
        pool = TritonPool(lambda _: triton, 3.0)  # type: ignore[arg-type, return-value]
        await pool.add("triton:8001").readiness.reach()
        deadlines = Deadlines()
        app = create_app(Settings.from_environment(), pool, deadlines)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            for _ in range(2):
                assert "connection" not in (await client.get("/health")).headers
            triton.delay_s = 0.05
            in_flight = asyncio.create_task(post(client))
            await asyncio.sleep(0.01)
            deadlines.end(10)
            for path in ("/livez", "/nothing"):
                assert (await client.get(path)).headers["connection"] == "close"
            health = await client.get("/health")
            assert (health.status_code, health.json()) == (503, {"status": "IDLE"})
            answer = await in_flight
            assert answer.status_code == 200
            assert answer.headers["connection"] == "close"

    asyncio.run(main())
