"""The answer to a request for a picture: the contract's JSON, made in pieces, or the file."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from gateway.images.data_url import DataUrl
from gateway.images.write import KINDS, OutputFormat
from gateway.schemas import ImageResponse, Media

SEED, NSFW, CHECK = "Upscale-Seed", "Upscale-Nsfw", "Upscale-Safety-Check"
DISTANCE = "Upscale-Distance"
LINE_BYTES = 3 * 2**14  # of the file in a line of base64


class UpscaleAnswer:
    """The contract's ImageResponse. A data URL of megabytes is never one object in memory."""

    def __init__(self, url: str | DataUrl, seed: int, nsfw: bool, distance: float) -> None:
        """distance: of the picture from its image, 0 to 255; see `stages/soundness.py`."""
        self._distance = distance
        self._url: DataUrl | None = None
        self._head, self._tail = _json(url if isinstance(url, str) else "", seed, nsfw)[:-1], b"}"
        if isinstance(url, DataUrl):
            self._url = url
            before, _, after = self._head.partition(b'""')  # the only empty string in it
            self._head, self._tail = before + b'"', b'"' + after + self._tail

    def __len__(self) -> int:
        return len(self._head) + len(self._url or b"") + len(self._tail)

    async def pieces(self, last: str = "") -> AsyncIterator[bytes]:
        """The JSON in UTF-8; between two pieces others have their turn. last: members more."""
        yield self._head
        if self._url is not None:
            for piece in self._url.pieces():
                yield piece
                await asyncio.sleep(0)
        yield self._tail[:-1] + last.encode() + self._tail[-1:]

    async def events(self) -> AsyncIterator[bytes]:
        """The same as the last event of a stream, and with it what else is in a header."""
        yield b"event: result\ndata: "
        async for piece in self.pieces(f',"distance":{self._distance}'):  # JSON of one line
            yield piece
        yield b"\n\n"

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """All of it as the body of a response with these headers besides."""
        return StreamingResponse(
            self.pieces(),
            media_type="application/json",
            headers={
                "Content-Length": str(len(self)),
                DISTANCE: str(self._distance),
                **(headers or {}),
            },
        )


class FileAnswer:
    """The file itself; what the JSON says of it is in headers."""

    def __init__(
        self, content: bytes, output_format: OutputFormat, seed: int, nsfw: bool, distance: float
    ) -> None:
        """distance: as of `UpscaleAnswer`."""
        self._distance = distance
        self._content = content
        self._media_type = KINDS[output_format].media_type
        self._seed = seed
        self._nsfw = nsfw

    async def events(self) -> AsyncIterator[bytes]:
        """The last two events of a stream: the file in base64, then what is said of it.

        The base64 comes in lines, each a `data:`, since some clients take no line over 128 KiB.
        """
        yield b"event: image\n"
        for start in range(0, len(self._content), LINE_BYTES):
            line = base64.b64encode(self._content[start : start + LINE_BYTES])
            yield b"data: " + line + b"\n"
            await asyncio.sleep(0)
        said = {
            "media_type": self._media_type,
            "seed": self._seed,
            "nsfw": self._nsfw,
            "distance": self._distance,
        }
        yield b"\n" + format_sse_event(event="result", data_str=json.dumps(said))

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """The file as the body of a response with these headers besides."""
        return Response(
            self._content,
            media_type=self._media_type,
            headers={
                SEED: str(self._seed),
                NSFW: str(self._nsfw).lower(),
                DISTANCE: str(self._distance),
                "X-Content-Type-Options": "nosniff",
                **(headers or {}),
            },
        )


def _json(url: str, seed: int, nsfw: bool) -> bytes:
    images = [Media(url=url, seed=seed, nsfw=nsfw)]
    return ImageResponse(images=images).model_dump_json().encode()
