"""How errors are answered: the contract's JSON, a status by the profile, a line of the log."""

import logging
from enum import StrEnum
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from starlette.exceptions import HTTPException

from gateway.errors import (
    BodyTooLarge,
    BrokenPicture,
    ForeignOrigin,
    ImageTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    NotReady,
    RequestTimeout,
    StoreFailed,
    TritonFailed,
    Unauthorized,
    UnsupportedEncoding,
    UploadTimeout,
    UpscaleError,
)
from gateway.telemetry.notes import note

# go-livepeer hands a job to another node where the message of a 500 has these words.
NO_CAPACITY = "insufficient capacity"
logger = logging.getLogger("gateway")


class ErrorProfile(StrEnum):
    """Whose statuses errors have: go-livepeer's, which knows only a few, or all of HTTP's."""

    LIVEPEER = "livepeer"
    HTTP = "http"


# go-livepeer panics on any status but 200, 400, 401, 422 and 500 (its issue 4026).
STATUSES = {
    InvalidRequest: (HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST),
    ImageTooLarge: (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    BodyTooLarge: (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    UploadTimeout: (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT),
    UnsupportedEncoding: (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    Unauthorized: (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED),
    ForeignOrigin: (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN),
    InsufficientCapacity: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.TOO_MANY_REQUESTS),
    NotReady: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
    RequestTimeout: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.GATEWAY_TIMEOUT),
    TritonFailed: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
    BrokenPicture: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR),
    StoreFailed: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
    UpscaleError: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR),
}


class ErrorAnswers:
    """The contract's HTTPError for each error, with the status that a profile gives it."""

    def __init__(self, profile: ErrorProfile) -> None:
        self._column = list(ErrorProfile).index(profile)

    def status(self, error: UpscaleError) -> int:
        """That of the error's own class, else of the nearest one above it."""
        return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)[
            self._column
        ].value

    def statuses(self) -> list[int]:
        """All that this profile has, in order."""
        return sorted({row[self._column].value for row in STATUSES.values()})

    def of(self, error: Exception) -> JSONResponse:
        """What the caller is told; what it is not goes to the log. Any other error is a bug."""
        answer = self._answer(error)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:  # as events it is sent under 200
            trace.get_current_span().set_status(StatusCode.ERROR, type(error).__name__)
        return answer

    def _answer(self, error: Exception) -> JSONResponse:
        if not isinstance(error, UpscaleError):
            logger.error("a request failed unexpectedly", exc_info=error)
            return error_response(500, "The server failed unexpectedly; the fault is in its log.")
        if isinstance(error, TritonFailed):
            logger.error("Triton failed: %s", error.__cause__ or "it was lost")
        if isinstance(error, BrokenPicture):
            logger.error("a broken picture was held back: %s", error)
        if isinstance(error, StoreFailed):
            logger.error("a result could not be stored: %r", error.__cause__)
        is_busy = isinstance(error, InsufficientCapacity)
        message = f"{NO_CAPACITY}: {error}" if is_busy else str(error)
        return error_response(self.status(error), message, error.headers)


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The contract's HTTPError. What is said again of a caller's values may be no Unicode."""
    text = message.encode("utf-8", "replace").decode()
    note(reason=text)
    return JSONResponse({"detail": {"msg": text}}, status, headers)


def add_error_handlers(app: FastAPI, error_answers: ErrorAnswers) -> None:
    """Let every error leave as the JSON that the contract names, a bug of ours included."""

    @app.exception_handler(UpscaleError)
    @app.exception_handler(Exception)
    async def any_error(_: Request, error: Exception) -> JSONResponse:
        return error_answers.of(error)

    @app.exception_handler(HTTPException)
    async def http_exception(_: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, error.detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's list without `input` and `ctx`, which would send back what was sent.
        entries = [{key: entry[key] for key in ("loc", "msg", "type")} for entry in error.errors()]
        note(reason="; ".join(f"{entry['loc'][-1]}: {entry['msg']}" for entry in entries))
        return JSONResponse({"detail": entries}, 422)
