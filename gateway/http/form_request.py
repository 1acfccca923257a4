"""Forms as clients send them: the part `image` is a file, however it is named or not."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

FILE = b"image"


class _Parser(MultiPartParser):
    """Starlette's takes a part for a file by its `filename` alone.

    Some clients send `filename*` (RFC 5987) or none at all; what they send is bytes all the same.
    """

    def on_headers_finished(self) -> None:
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == FILE and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename=""'
        super().on_headers_finished()


class _FormRequest(Request):
    async def _get_form(self, **limits: Any) -> FormData:
        kind, _ = parse_options_header(self.headers.get("content-type"))
        if kind == b"multipart/form-data" and self._form is None:
            try:
                self._form = await _Parser(self.headers, self.stream(), **limits).parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return await super()._get_form(**limits)


class FormRoute(APIRoute):
    """A route whose form is read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_form(request: Request) -> Response:
            return await handle(_FormRequest(request.scope, request.receive))

        return handle_form
