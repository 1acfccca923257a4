"""An error as Triton passes it on: the one place that makes a `TritonError` of an exception."""

import logging

import triton_python_backend_utils as pb_utils

from stages.errors import (
    Cancelled,
    DeadlineExceeded,
    InsufficientCapacity,
    InvalidRequest,
    OutOfMemory,
    StageError,
    is_out_of_memory,
)

# https://github.com/triton-inference-server/python_backend#error-handling; the rest is INTERNAL.
STATUSES: tuple[tuple[type[StageError], str], ...] = (
    (InvalidRequest, "INVALID_ARG"),
    (InsufficientCapacity, "UNAVAILABLE"),
    (DeadlineExceeded, "UNAVAILABLE"),
    (Cancelled, "CANCELLED"),
)
logger = logging.getLogger("stages")


def triton_error(error: Exception) -> "pb_utils.TritonError":
    """A StageError with its code and Triton's status for it; any other is logged and INTERNAL."""
    if not isinstance(error, StageError):
        logger.error("an unexpected error", exc_info=error)
        if is_out_of_memory(error):
            return triton_error(OutOfMemory("There was not enough memory for this request."))
        text = f"{type(error).__name__}: {error}"
        return pb_utils.TritonError(text, pb_utils.TritonError.INTERNAL)
    names = (name for kind, name in STATUSES if isinstance(error, kind))
    status: int = getattr(pb_utils.TritonError, next(names, "INTERNAL"))
    return pb_utils.TritonError(error.message, status)


def error_response(error: Exception) -> "pb_utils.InferenceResponse":
    """An answer without tensors."""
    return pb_utils.InferenceResponse([], triton_error(error))
