"""No new requests on old connections once the server ends."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.deadlines import Deadlines


class ClosingConnections:
    """ASGI middleware: `Connection: close` on every answer from when the deadlines are ending.

    A proxy that was not told keeps the connection for its next request, which then finds it reset.
    """

    def __init__(self, app: ASGIApp, deadlines: Deadlines) -> None:
        self._app = app
        self._deadlines = deadlines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start" and self._deadlines.are_ending:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_with_header)
