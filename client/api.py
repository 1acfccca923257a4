"""What a request sends and what a server answers, as far as it needs no connection."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from client.errors import Busy, ImageFailed, ServerUnusable
from client.files import OutputFormat
from gateway.schemas import ImageResponse, Media

DEFAULT_RETRY_AFTER_S = 5.0
NO_CAPACITY = "insufficient capacity"  # ai-runner's words, with status 500


@dataclass(frozen=True)
class Form:
    """The API's fields by their names; None leaves the choice to the server."""

    prompt: str
    negative_prompt: str | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    noise_level: int | None = None
    safety_check: bool | None = None
    model_id: str | None = None
    output_format: OutputFormat = OutputFormat.PNG
    color_fix: str | None = None
    scale: float | None = None
    width: int | None = None
    height: int | None = None
    background: str | None = None
    fit: bool | None = None
    scheduler: str | None = None
    step_cache: int | None = None

    @property
    def given(self) -> dict[str, str | int | float | bool]:
        """What is sent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_repeatable(self) -> bool:
        """The same request gives the same picture again."""
        return self.seed is not None


class Queued(BaseModel):
    """The request waits; `position` is its place in the queue."""

    position: int


class Step(BaseModel):
    """`step` of `steps` are done; `seconds_left` is the server's guess, where it has one."""

    step: int
    steps: int
    seconds_left: float | None = None


class Waiting(BaseModel):
    """The server was busy; the next attempt is `seconds` away, sooner than it asked for if cut."""

    seconds: float
    is_cut: bool = False


class Decoding(BaseModel):
    """The steps are done; of the picture, `tile` of `tiles` are decoded."""

    tile: int
    tiles: int
    seconds_left: float | None = None


Event = Queued | Step | Decoding | Waiting


def media_of(text: str | bytes) -> Media:
    """The picture in a result's JSON. Raises ImageFailed when there is none."""
    try:
        return ImageResponse.model_validate_json(text).images[0]
    except (ValueError, IndexError) as error:
        raise ImageFailed("The server's answer holds no picture.") from error


def event_of(kind: str, data: str) -> Event | None:
    """An event on the way to the result, None for kinds that we do not show.

    Raises what the server's own error means, and ImageFailed for data that cannot be read.
    """
    try:
        match kind:
            case "queued":
                return Queued.model_validate_json(data)
            case "progress":
                return Step.model_validate_json(data)
            case "decoding":
                return Decoding.model_validate_json(data)
            case "error":
                body = json.loads(data)
                status = int(body["status"])
    except (ValueError, TypeError, KeyError) as error:
        raise ImageFailed(f"The server sent an unreadable event {kind!r}.") from error
    if kind == "error":
        raise error_of(status, body)
    return None


def error_of(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Exception:
    """The error that an answer without a picture means, with the server's sentence."""
    message = _message_of(body) or _phrase_of(status)
    if status == HTTPStatus.UNAUTHORIZED:
        return ServerUnusable(
            f"The server refuses: {message} Name its token with --token or UPSCALE_TOKEN."
        )
    if status == HTTPStatus.FORBIDDEN:
        return ServerUnusable(f"The server refuses: {message}")
    no_capacity = status == HTTPStatus.INTERNAL_SERVER_ERROR and NO_CAPACITY in message.lower()
    if no_capacity or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return Busy(message, retry_after_s((headers or {}).get("retry-after")))
    return ImageFailed(message)


def _message_of(body: Any) -> str:
    match body:
        case {"detail": {"msg": str(message)}} | {"detail": str(message)}:
            return message
        case {"detail": [*entries]}:
            return "; ".join(_sentence_of_a_field(entry) for entry in entries)
    return ""


def _sentence_of_a_field(entry: Any) -> str:
    match entry:
        case {"loc": [*_, field], "msg": message}:
            return f"{field}: {message}"
    return str(entry)


def _phrase_of(status: int) -> str:
    try:
        return f"The server answered {status} {HTTPStatus(status).phrase}."
    except ValueError:
        return f"The server answered {status}."


def retry_after_s(value: str | None) -> float:
    """A Retry-After header, seconds or a date, in seconds from now."""
    if value is None:
        return DEFAULT_RETRY_AFTER_S
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return DEFAULT_RETRY_AFTER_S
    if date.tzinfo is None:  # "-0000": in UTC, says RFC 5322
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def content_of_data_url(url: str) -> bytes:
    """The bytes in a base64 data URL. Raises ImageFailed for anything else."""
    head, _, content = url.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError("another encoding")
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageFailed("The server's picture cannot be decoded.") from error
