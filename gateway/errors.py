"""One tree of what can go wrong, and one table of the status of each.

UpscaleError
  InvalidRequest          the caller's values
    InvalidImage          the caller's file
      ImageTooLarge       more pixels than are allowed
  BodyTooLarge            more bytes than are allowed
  UploadTimeout           the body took too long to arrive
  Unauthorized            no token, or a wrong one
  InsufficientCapacity    too busy; go-livepeer hands the job to another node
    Stopping              the server ends before the request could
  NotReady                no model is being served yet, or no longer
  RequestTimeout          the whole request took too long
  TritonFailed            Triton failed; its words stay in the log
    ConnectionLost        it could not be reached, or it or a process of its ended
  StoreFailed              the result has no place; the reason stays in the log
"""

import logging
from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from starlette.exceptions import HTTPException

logger = logging.getLogger("gateway")


class UpscaleError(Exception):
    """An answer that is no picture; its text is for the caller."""

    headers: ClassVar[dict[str, str]] = {}


class InvalidRequest(UpscaleError):
    """The caller's values are not allowed."""


class InvalidImage(InvalidRequest):
    """The caller's file is no image that we take."""


class ImageTooLarge(InvalidImage):
    """The caller's image has more pixels than are allowed."""


class BodyTooLarge(UpscaleError):
    """The request has more bytes than are allowed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The request body is larger than {max_bytes} bytes.")


class UploadTimeout(UpscaleError):
    """The request's body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The request body did not arrive within {seconds:g} s.")


class Unauthorized(UpscaleError):
    """The bearer token is missing or wrong."""

    headers: ClassVar = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("Invalid bearer token.")


class InsufficientCapacity(UpscaleError):
    """As many requests wait as may."""

    headers: ClassVar = {"Retry-After": "5"}

    def __init__(self, why: str = "too many requests are waiting; try again later.") -> None:
        super().__init__(f"insufficient capacity: {why}")


class Stopping(InsufficientCapacity):
    """The server was asked to end and could not finish the request before."""

    def __init__(self) -> None:
        super().__init__("this server is being stopped; try again elsewhere or later.")


class NotReady(UpscaleError):
    """The model is not being served yet, or no longer."""

    def __init__(self) -> None:
        super().__init__("The model is not being served now; try again when /health answers 200.")


class RequestTimeout(UpscaleError):
    """The request took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request took longer than {seconds:g} s and was given up;"
            " ask for fewer steps or send a smaller image."
        )


class TritonFailed(UpscaleError):
    """Triton failed or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The upscaling backend failed; try again.")


class ConnectionLost(TritonFailed):
    """The connection to Triton failed before an answer, or Triton ends."""


class StoreFailed(UpscaleError):
    """The store of results failed, is full or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The result could not be stored; try again.")


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
    Unauthorized: (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED),
    InsufficientCapacity: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.TOO_MANY_REQUESTS),
    NotReady: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
    RequestTimeout: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.GATEWAY_TIMEOUT),
    TritonFailed: (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
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
            logger.error("Triton failed: %s", error.__cause__)
        if isinstance(error, StoreFailed):
            logger.error("a result could not be stored: %r", error.__cause__)
        return error_response(self.status(error), str(error), error.headers)


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The contract's HTTPError. What is said again of a caller's values may be no Unicode."""
    text = message.encode("utf-8", "replace").decode()
    return JSONResponse({"detail": {"msg": text}}, status, headers)


def add_error_handlers(app: FastAPI, answers: ErrorAnswers) -> None:
    """Let every error leave as the JSON that the contract names, a bug of ours included."""

    @app.exception_handler(UpscaleError)
    @app.exception_handler(Exception)
    async def any_error(_: Request, error: Exception) -> JSONResponse:
        return answers.of(error)

    @app.exception_handler(HTTPException)
    async def http_exception(_: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, error.detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's list without `input` and `ctx`, which would send back what was sent.
        entries = [{key: entry[key] for key in ("loc", "msg", "type")} for entry in error.errors()]
        return JSONResponse({"detail": entries}, 422)
