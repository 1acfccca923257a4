"""A server on loopback that answers `POST /upscale` as a test tells it to."""

import base64
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

SIGNATURES = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0",
    "webp": b"RIFF\x00\x00\x00\x00WEBP",
}


@dataclass(frozen=True)
class Sent:
    """One request, as it arrived."""

    image: bytes
    fields: dict[str, str]
    authorization: str | None
    accept: str

    @property
    def picture(self) -> bytes:
        """What it is answered with: enough of a file for the client, and whose it is."""
        return SIGNATURES[self.fields["output_format"]] + self.image


Answer = Callable[[Sent], Awaitable[Response]]


class Loopback:
    """The server, on a free port, in `with`.

    `answer` makes the response; `sent` keeps what came; `media` has the files below /media/ by name
    and `fetched` the Authorization headers that they were asked for with. `seconds` is its law of
    /estimate by width and height, which it has not at first; `estimated` keeps what was asked.
    """

    def __init__(self) -> None:
        self.reset()
        app = FastAPI()
        app.add_api_route("/upscale", self._upscale, methods=["POST"], response_model=None)
        app.add_api_route("/estimate", self._estimate, methods=["POST"], response_model=None)
        app.add_api_route("/model", self._get_model, response_model=None)
        app.add_api_route("/media/{name}", self._media, response_model=None)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1)
        )
        # A daemon, as an answer that a test left hanging may keep it.
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), daemon=True
        )

    def reset(self) -> None:
        """Forget what came and answer as at first."""
        self.answer: Answer = streamed
        self.sent: list[Sent] = []
        self.model: dict[str, Any] | None = None  # its answer at /model; None: it has none
        self.media: dict[str, bytes] = {}
        self.fetched: list[str | None] = []
        self.estimated: list[dict[str, Any]] = []
        self.seconds: Callable[[int, int], float | None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _upscale(self, request: Request) -> Response:
        async with request.form() as form:
            image = form["image"]
            assert not isinstance(image, str)
            sent = Sent(
                await image.read(),
                {name: value for name, value in form.items() if isinstance(value, str)},
                request.headers.get("authorization"),
                request.headers["accept"],
            )
        self.sent.append(sent)
        return await self.answer(sent)

    async def _estimate(self, request: Request) -> Response:
        body = await request.json()
        self.estimated.append(body)
        if self.seconds is None:
            return Response(status_code=404)
        numbers = ("unet_rows", "tiles", "tile_pixels", "memory_bytes")
        seconds = self.seconds(body["width"], body["height"])
        told = {"accepted": True, "reason": None, "seconds": seconds}
        sizes = ("output_width", "output_height")
        return JSONResponse({**dict.fromkeys((*numbers, *sizes), 1), **told})

    async def _get_model(self) -> Response:
        return JSONResponse(self.model or {}, 200 if self.model else 404)

    async def _media(self, name: str, request: Request) -> Response:
        self.fetched.append(request.headers.get("authorization"))
        if name not in self.media:
            return Response(status_code=404)
        return Response(self.media[name])


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def result(url: str, *, nsfw: bool = False) -> dict[str, Any]:
    """The contract's JSON."""
    return {"images": [{"url": url, "seed": 7, "nsfw": nsfw}]}


def event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def stream(*parts: str, breaks: bool = False) -> Response:
    """Server-sent events; one that breaks loses its connection after them."""

    async def body() -> AsyncIterator[str]:
        for part in parts:
            yield part
        if breaks:
            raise ConnectionResetError

    return StreamingResponse(body(), media_type="text/event-stream")


async def streamed(sent: Sent) -> Response:
    """What a server with events answers when all goes well."""
    return stream(
        ": heartbeat\n\n",
        event("queued", {"position": 1}),
        event("progress", {"step": 1, "steps": 2, "seconds_left": 0.5}),
        event("preview", {"url": "data:image/jpeg;base64,AA=="}),
        event("progress", {"step": 2, "steps": 2, "seconds_left": 0}),
        event("result", result(data_url(sent.picture))),
    )


async def plain(sent: Sent) -> Response:
    """What a server without events answers when all goes well."""
    return JSONResponse(result(data_url(sent.picture)))


def refused(status: int, message: str, **headers: str) -> Answer:
    """An error before the stream begins; underscores in headers become hyphens."""

    async def answer(_: Sent) -> Response:
        return JSONResponse(
            {"detail": {"msg": message}},
            status,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One answer for each request, the last one for all that follow."""
    left = list(answers)

    async def answer(sent: Sent) -> Response:
        return await (left.pop(0) if len(left) > 1 else left[0])(sent)

    return answer
