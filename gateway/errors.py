"""One tree of what can go wrong, and the status of each in the contract.

UpscaleError
  InvalidRequest          the caller's values, 400
    InvalidImage          the caller's file, 400
  Unauthorized            401
  InsufficientCapacity    too busy; go-livepeer hands the job to another node, 500
  NotReady                no model is being served yet, 500
  RequestTimeout          500
  BackendError            Triton failed; its words stay in the log, 500
  MediaError              the result has no place; the reason stays in the log, 500
"""

import logging
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

logger = logging.getLogger("gateway")


class UpscaleError(Exception):
    """An answer that is no picture; its text is for the caller."""

    status = 500
    headers: ClassVar[dict[str, str]] = {}


class InvalidRequest(UpscaleError):
    """The caller's values are not allowed."""

    status = 400


class InvalidImage(InvalidRequest):
    """The caller's file is no image that we take."""


class Unauthorized(UpscaleError):
    """The bearer token is missing or wrong."""

    status = 401
    headers: ClassVar = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("Invalid bearer token.")


class InsufficientCapacity(UpscaleError):
    """As many requests wait as may."""

    headers: ClassVar = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__("insufficient capacity: too many requests are waiting; try again later.")


class NotReady(UpscaleError):
    """The model is not being served yet, or no longer."""

    def __init__(self) -> None:
        super().__init__("The model is still loading; try again when /health answers 200.")


class RequestTimeout(UpscaleError):
    """The request took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request took longer than {seconds:g} s and was given up;"
            " ask for fewer steps or send a smaller image."
        )


class BackendError(UpscaleError):
    """Triton failed or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The upscaling backend failed; try again.")


class MediaError(UpscaleError):
    """The store of results failed, is full or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The result could not be stored; try again.")


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The contract's HTTPError."""
    return JSONResponse({"detail": {"msg": message}}, status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error leave as the JSON that the contract names, a bug of ours included."""

    @app.exception_handler(UpscaleError)
    async def upscale_error(_: Request, error: UpscaleError) -> JSONResponse:
        if isinstance(error, BackendError):
            logger.error("Triton failed: %s", error.__cause__)
        if isinstance(error, MediaError):
            logger.error("a result could not be stored: %r", error.__cause__)
        return error_response(error.status, str(error), error.headers)

    @app.exception_handler(HTTPException)
    async def http_exception(_: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, error.detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's list without `input` and `ctx`, which would send back what was sent.
        entries = [{key: entry[key] for key in ("loc", "msg", "type")} for entry in error.errors()]
        return JSONResponse({"detail": entries}, 422)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        logger.error("a request failed unexpectedly", exc_info=error)
        return error_response(500, "The server failed unexpectedly; the fault is in its log.")
