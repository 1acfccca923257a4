import asyncio

from starlette.types import Message, Receive, Scope, Send

from gateway.http.capacity import Capacity
from gateway.http.request_log import RequestLog
from gateway.telemetry.metrics import Metrics

SCOPE = {"type": "http", "method": "POST", "path": "/upscale", "headers": []}


def counted(*headers: tuple[bytes, bytes]) -> list[str]:
    """The metric's lines of refusals after one answer of 500 with these headers."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b""})

    async def send(_: Message) -> None:
        pass

    async def receive() -> Message:
        return {"type": "http.request"}

    metrics = Metrics(Capacity(1, 1))
    asyncio.run(RequestLog(app, metrics)(dict(SCOPE), receive, send))
    lines = metrics.text({}).decode().splitlines()
    assert 'upscale_requests_total{status="500"} 1.0' in lines
    return [line for line in lines if line.startswith("upscale_refused_total")]


def test_a_refusal_is_told_from_an_error_of_the_same_status() -> None:
    """Under ERROR_PROFILE=livepeer both are 500; only who is busy says when to come again."""
    assert counted((b"retry-after", b"5")) == ['upscale_refused_total{status="500"} 1.0']
    assert counted() == []
