"""What a request must pass before its body is read: origin, token, length, a place.

Then a clock runs.
"""

import asyncio
import secrets
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import (
    BodyTooLarge,
    ForeignOrigin,
    Unauthorized,
    UnsupportedEncoding,
    UploadTimeout,
    UpscaleError,
)
from gateway.http.capacity import Capacity
from gateway.http.disconnect import CLIENT_CLOSED_REQUEST
from gateway.http.error_answers import ErrorAnswers
from gateway.settings import Settings

PATHS = ("/upscale", "/upscale/")
# The last is for who reaches this server through a session of a Live Runner, below /upscale.
ESTIMATES = ("/estimate", "/estimate/", "/upscale/estimate")
MAX_ESTIMATE_BYTES = 65_536  # of a body that has four numbers


def is_upscale(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request, by its ASGI scope, is one to make a picture."""
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in PATHS


class Entrance:
    """ASGI middleware before `POST /upscale`; refusals cost no more than the request's head.

    The body of `POST /estimate` is bounded as well; that asks for no token and takes no place.

    It leaves the time, in seconds of the event loop's clock, by which the request must be answered
    in `request.state.deadline`.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        capacity: Capacity,
        error_answers: ErrorAnswers,
    ) -> None:
        self._app = app
        self._settings = settings
        self._capacity = capacity
        self._error_answers = error_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_estimate = scope["type"] == "http" and scope["path"] in ESTIMATES
        if not (is_upscale(scope) or is_estimate):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if is_estimate:
                check_encoding(headers.get("content-encoding", ""))
                await self._enter(scope, receive, send, MAX_ESTIMATE_BYTES)
                return
            self._check_token(headers.get("authorization", ""))
            self._check_origin(headers)
            check_encoding(headers.get("content-encoding", ""))
            self._check_length(headers.get("content-length", ""))
            with self._capacity.place():
                await self._enter(scope, receive, send, self._settings.max_body_bytes)
        except UpscaleError as error:  # ours: what the application raises, it answers itself
            await self._error_answers.of(error)(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int) -> None:
        now = asyncio.get_running_loop().time()
        scope.setdefault("state", {})["deadline"] = now + self._settings.request_timeout_s
        body_deadline = now + self._settings.upload_timeout_s
        received = 0
        is_complete = False

        async def bounded() -> Message:
            nonlocal received, is_complete
            if is_complete:  # from here on, receive waits for the client to go away
                return await receive()
            try:
                async with asyncio.timeout_at(body_deadline):
                    message = await receive()
            except TimeoutError:
                raise self._while_parsing(UploadTimeout(self._settings.upload_timeout_s)) from None
            if message["type"] == "http.disconnect":
                raise HTTPException(CLIENT_CLOSED_REQUEST, "The client went away.")
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if received > max_body_bytes:
                raise self._while_parsing(BodyTooLarge(max_body_bytes))
            return message

        await self._app(scope, bounded, send)

    def _while_parsing(self, error: UpscaleError) -> HTTPException:
        """FastAPI lets only this exception out of the parsing of a body."""
        headers = {**error.headers, "Connection": "close"}
        return HTTPException(self._error_answers.status(error), str(error), headers)

    def _check_token(self, authorization: str) -> None:
        expected = self._settings.auth_token
        if expected is None:
            return
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(
            token.strip().encode("latin-1"), expected.get_secret_value().encode()
        ):
            raise Unauthorized

    def _check_origin(self, headers: Headers) -> None:
        """Without a token, whoever has the address open in a browser would work for any page."""
        origin, allowed = headers.get("origin"), self._settings.cors_origins or ""
        if self._settings.auth_token is not None or origin is None:
            return
        if allowed == "*" or origin in allowed.split(","):
            return
        # Browsers send the first where they trust the connection; proxies may change Host.
        site = headers.get("sec-fetch-site")
        is_own = (
            urlsplit(origin).netloc == headers.get("host")
            if site is None
            else site in ("same-origin", "none")
        )
        if not is_own:
            raise ForeignOrigin

    def _check_length(self, announced: str) -> None:
        # Python reads no number of thousands of digits.
        if announced.isdecimal() and float(announced) > self._settings.max_body_bytes:
            raise BodyTooLarge(self._settings.max_body_bytes)


def check_encoding(content_encoding: str) -> None:
    """Raises UnsupportedEncoding for all but none."""
    if content_encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedEncoding(content_encoding)
