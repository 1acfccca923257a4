"""The server: one image in, one picture out, over HTTP."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import EventSource

from client.api import Event, Form, content_of_data_url, error_of, event_of, media_of
from client.errors import ConnectionLost, ImageFailed, ServerUnusable, UsageError
from gateway.schemas import Estimate, Media, Model

CONNECT_TIMEOUT_S = 10.0
ESTIMATED = (
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
    "step_cache",
    "output_format",
    "fit",
)  # fields that it goes by


@dataclass(frozen=True)
class Picture:
    """A result: a file's content, and what the server says of it."""

    content: bytes
    seed: int
    nsfw: bool


class Server:
    """An upscaling server by its URL, to be used in `async with`.

    token is sent as a bearer token, to this server only. An attempt at one image may take timeout_s
    seconds in all. Raises UsageError for what is no http URL and what no header can hold.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        try:
            self._endpoint = httpx.URL(f"{self._url}/upscale")
        except httpx.InvalidURL as error:
            raise UsageError(f"{url} is no URL: {error}.") from error
        if self._endpoint.scheme not in ("http", "https") or not self._endpoint.host:
            raise UsageError(f"{url} is no URL that begins with http:// or https://.")
        if token and not all("!" <= character <= "~" for character in token):
            raise UsageError("A token holds printable ASCII characters only, and no spaces.")
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self.timeout_s = timeout_s
        self._model: asyncio.Task[Model | None] | None = None
        # A connection for each request: the time it takes is nothing beside the picture's, and
        # none is lost because the server closed it between two images.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        self._http = httpx.AsyncClient(limits=limits, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def upscale(self, image: bytes, form: Form, show: Callable[[Event], None]) -> Picture:
        """One attempt; events go to show as they come.

        Raises Busy, ConnectionLost, ImageFailed or ServerUnusable.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                media = await self._request(image, form, show)
                content = await self._content(media.url)
        except TimeoutError as error:
            raise ImageFailed(
                f"No picture came within {self.timeout_s:g} s; allow more with --timeout."
            ) from error
        if not form.output_format.begins(content):
            raise ImageFailed(
                f"The server sent no {form.output_format} file; it may be too old for that format."
            )
        return Picture(content, media.seed, media.nsfw)

    async def estimate(self, width: int, height: int, form: Form) -> Estimate | None:
        """What a picture of such an image will cost; None where the server tells nothing."""
        given = {name: value for name, value in form.given.items() if name in ESTIMATED}
        body = {"width": width, "height": height, **given}
        try:
            answer = await self._http.post(f"{self._url}/estimate", json=body)
            return Estimate.model_validate_json(answer.raise_for_status().content)
        except (httpx.HTTPError, ValueError):
            return None

    async def model(self) -> Model | None:
        """What the server takes, asked for once; None where it does not say."""
        if self._model is None:
            self._model = asyncio.create_task(self._ask_for_model())
        return await self._model

    async def _ask_for_model(self) -> Model | None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                answer = await self._http.get(f"{self._url}/model")
            return Model.model_validate_json(answer.raise_for_status().content)
        except (TimeoutError, httpx.HTTPError, ValueError):
            return None

    async def _request(self, image: bytes, form: Form, show: Callable[[Event], None]) -> Media:
        request = self._http.build_request(
            "POST",
            self._endpoint,
            files={"image": image},
            data=form.given,
            headers={"Accept": "text/event-stream, application/json", **self._authorization},
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                return await _media_of(response, show)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise ServerUnusable(f"{self._url} cannot be reached: {_reason(error)}.") from error
        except httpx.TransportError as error:
            raise ConnectionLost(f"The connection broke: {_reason(error)}.") from error
        except httpx.RequestError as error:
            raise ImageFailed(f"The request failed: {_reason(error)}.") from error

    async def _content(self, url: str) -> bytes:
        """The bytes at a result's URL: within it, or on this or another server."""
        if url.startswith("data:"):
            return await asyncio.to_thread(content_of_data_url, url)
        try:
            place = self._endpoint.join(url)
            if place.scheme not in ("http", "https"):
                raise ImageFailed(f"The picture is at {url}, which cannot be fetched.")
            is_ours = _origin(place) == _origin(self._endpoint)
            response = await self._http.get(
                place, headers=self._authorization if is_ours else {}, follow_redirects=True
            )
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise ImageFailed(f"The picture could not be fetched: {_reason(error)}.") from error
        if not response.is_success:
            raise ImageFailed(f"The picture's URL, {place}, answered {response.status_code}.")
        return response.content


async def _media_of(response: httpx.Response, show: Callable[[Event], None]) -> Media:
    if response.status_code != httpx.codes.OK:
        raise error_of(
            response.status_code, _json_or_none(await response.aread()), response.headers
        )
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "text/event-stream":
        return media_of(await response.aread())
    async for sent in EventSource(response).aiter_sse():
        if sent.event == "result":
            return media_of(sent.data)
        if event := event_of(sent.event, sent.data):
            show(event)
    raise ConnectionLost("The server ended its answer without a picture.")


def _json_or_none(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
