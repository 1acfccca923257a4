"""Work for a caller who may go away."""

from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request

from gateway.tasks import run_until

CLIENT_CLOSED_REQUEST = 499  # nobody is left to read it; nginx logs the same
T = TypeVar("T")


async def run_while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await work; cancel it and raise ClientDisconnect when the client of request goes away.

    The request's body must have been read: after that, ASGI's receive waits for the disconnect.
    """
    return await run_until(work, _raise_when_disconnected(request))


async def _raise_when_disconnected(request: Request) -> NoReturn:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect
