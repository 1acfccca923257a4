"""One tree of what can go wrong; gateway/http/error_answers.py says how each is answered.

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
    TritonLost            it or a process of its has ended
      TritonRefused       it stops or could not be reached, and has done nothing
    UnknownModel          it serves an `upscale` that `upscale export` did not write
  StoreFailed             the result has no place; the reason stays in the log
"""

from typing import ClassVar


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
        super().__init__(why)


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

    def __init__(self, why: str = "The upscaling backend failed; try again.") -> None:
        super().__init__(why)


class TritonLost(TritonFailed):
    """This Triton makes no picture any more; another one may."""


class TritonRefused(TritonLost):
    """This Triton stops or could not be reached; that is no fault of any request's."""


class UnknownModel(TritonFailed):
    """Triton serves a model `upscale` that `upscale export` did not write."""


class StoreFailed(UpscaleError):
    """The store of results failed, is full or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The result could not be stored; try again.")
