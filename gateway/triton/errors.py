"""What an error of Triton's means: by the stages' codes, else by Triton's and gRPC's own words.

These words are matched here only; no other error has a code, and the statuses do not tell them
apart: UNAVAILABLE is a full queue, a restricted API and a dead server alike.
"""

from tritonclient.utils import InferenceServerException

from gateway.errors import (
    BrokenPicture,
    ImageTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    TritonFailed,
    TritonLost,
    TritonRefused,
)
from stages import errors as stage_errors

# gRPC's words for a server that takes no calls, and Triton's when it was asked to stop: then its
# stages can call no engine any more, not even for the requests that they work on, so that the words
# also come within a stage's own error. Any request would have been refused.
REFUSED = (
    "failed to connect",
    "GOAWAY",
    "Server is stopping",
    "Server not ready",
    "no available versions",
    "not at ready state",
)
# gRPC's words for a connection that broke, and Triton's when the process of a Python model has
# ended, which it never starts again. A request may have been the reason.
ENDED = ("Socket closed", "Connection reset", "recvmsg", "End of TCP", "Stub process")

# Stages' errors whose sentence is the caller's too.
TOLD: dict[type[stage_errors.StageError], type[BrokenPicture | ImageTooLarge]] = {
    stage_errors.BrokenPicture: BrokenPicture,
    stage_errors.ImageTooLarge: ImageTooLarge,
}


def translated(error: Exception) -> Exception:
    """What Triton passed on, as an error of the gateway's: by its code, else by Triton's words."""
    message = error.message() if isinstance(error, InferenceServerException) else str(error)
    match stage_errors.error_of(message):
        case stage_errors.ImageTooLarge() | stage_errors.BrokenPicture() as found:
            return TOLD[type(found)](str(found))
        case stage_errors.InvalidRequest() as found:
            return InvalidRequest(str(found))
        case stage_errors.InsufficientCapacity():
            return InsufficientCapacity()
        case stage_errors.DeadlineExceeded():
            return TimeoutError()
    if any(words in message for words in REFUSED):
        return TritonRefused()
    return TritonLost() if any(words in message for words in ENDED) else TritonFailed()
