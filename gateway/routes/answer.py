"""The answer to a request for a picture: the contract's JSON, made in pieces, or the file."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse

from gateway.images.data_url import DataUrl
from gateway.images.write import KINDS, OutputFormat
from gateway.schemas import ImageResponse, Media

SEED, NSFW, CHECK = "Upscale-Seed", "Upscale-Nsfw", "Upscale-Safety-Check"


class UpscaleAnswer:
    """The contract's ImageResponse. A data URL of megabytes is never one object in memory."""

    def __init__(self, url: str | DataUrl, seed: int, nsfw: bool) -> None:
        self._url: DataUrl | None = None
        self._head, self._tail = _json(url if isinstance(url, str) else "", seed, nsfw), b""
        if isinstance(url, DataUrl):
            self._url = url
            before, _, after = self._head.partition(b'""')  # the only empty string in it
            self._head, self._tail = before + b'"', b'"' + after

    def __len__(self) -> int:
        return len(self._head) + len(self._url or b"") + len(self._tail)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The JSON in UTF-8; between two pieces others have their turn."""
        yield self._head
        if self._url is not None:
            for piece in self._url.pieces():
                yield piece
                await asyncio.sleep(0)
            yield self._tail

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """All of it as the body of a response with these headers besides."""
        return StreamingResponse(
            self.pieces(),
            media_type="application/json",
            headers={"Content-Length": str(len(self)), **(headers or {})},
        )


class FileAnswer:
    """The file itself; what the JSON says of it is in headers."""

    def __init__(self, content: bytes, output_format: OutputFormat, seed: int, nsfw: bool) -> None:
        self._content = content
        self._media_type = KINDS[output_format].media_type
        self._headers = {SEED: str(seed), NSFW: str(nsfw).lower()}

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """The file as the body of a response with these headers besides."""
        return Response(
            self._content,
            media_type=self._media_type,
            headers={**self._headers, "X-Content-Type-Options": "nosniff", **(headers or {})},
        )


def _json(url: str, seed: int, nsfw: bool) -> bytes:
    images = [Media(url=url, seed=seed, nsfw=nsfw)]
    return ImageResponse(images=images).model_dump_json().encode()
