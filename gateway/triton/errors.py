"""What an error of Triton's means: by the stages' codes, else by Triton's and gRPC's own words.

These words are matched here only; no other error has a code, and the statuses do not tell them
apart: UNAVAILABLE is a full queue, a restricted API and a dead server alike.
"""

from tritonclient.utils import InferenceServerException

from gateway.errors import (
    ImageTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    TritonFailed,
    TritonLost,
)
from stages import errors as stage_errors

# gRPC's words for a connection that could not be made or broke. Triton itself says UNAVAILABLE too,
# of a model that is not loaded.
BROKEN = (
    "failed to connect",
    "Socket closed",
    "Connection reset",
    "recvmsg",
    "GOAWAY",
    "End of TCP",
)
# Triton's words when the process of a Python model has ended, which it never starts again, and when
# it was asked to stop. Then its stages can call no engine any more, not even for the requests that
# they work on, so that the words also come within a stage's own error.
ENDED = (
    "Stub process",
    "Server is stopping",
    "Server not ready",
    "no available versions",
    "not at ready state",
)


def translated(error: Exception) -> Exception:
    """What Triton passed on, as an error of the gateway's: by its code, else by Triton's words."""
    message = error.message() if isinstance(error, InferenceServerException) else str(error)
    match stage_errors.error_of(message):
        case stage_errors.ImageTooLarge() as found:
            return ImageTooLarge(str(found))
        case stage_errors.InvalidRequest() as found:
            return InvalidRequest(str(found))
        case stage_errors.InsufficientCapacity():
            return InsufficientCapacity()
        case stage_errors.DeadlineExceeded():
            return TimeoutError()
    is_lost = any(words in message for words in BROKEN + ENDED)
    return TritonLost() if is_lost else TritonFailed()
