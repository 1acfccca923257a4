"""Calls of PyPI's livepeer-gateway, as its users write them.

Each is a line of JSON, what to call and the arguments; its answer is one too.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from livepeer_gateway.discovery import discover_orchestrator_runners
from livepeer_gateway.errors import LivepeerHTTPError
from livepeer_gateway.live_runner import call_runner


async def plain(url: str, payload: dict[str, Any], **options: Any) -> dict[str, Any]:
    result = await call_runner(url, payload=payload, **options)
    content = None if result.content is None else base64.b64encode(result.content).decode()
    return {"data": result.data, "content": content, "content_type": result.content_type}


async def stream(url: str, payload: dict[str, Any], lines: int | None) -> dict[str, Any]:
    """lines: after so many it leaves; None: all of them."""
    read: list[str] = []
    async with await call_runner(url, payload=payload, stream=True) as answer:
        async for line in answer.aiter_lines():
            read.append(line)
            if len(read) == lines:
                break
        return {"content_type": answer.content_type, "lines": read}


async def discover(url: str, app: str) -> dict[str, Any]:
    return {"found": await discover_orchestrator_runners([url], app=app)}


CALLS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "plain": plain,
    "stream": stream,
    "discover": discover,
}


async def answer_to(what: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return await CALLS[what](**arguments)
    except LivepeerHTTPError as error:
        return {"status": error.status_code, "body": error.body}


for line in sys.stdin:
    print(json.dumps(asyncio.run(answer_to(*json.loads(line)))), flush=True)  # noqa: T201
