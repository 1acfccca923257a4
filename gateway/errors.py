"""One tree of what can go wrong; gateway/http/error_answers.py says how each is answered.

UpscaleError
  InvalidRequest          the caller's values
    InvalidImage          the caller's file
      ImageTooLarge       more pixels than are allowed
  BodyTooLarge            more bytes than are allowed
  UnsupportedEncoding     the body is compressed
  UploadTimeout           the body took too long to arrive
  Unauthorized            no token, or a wrong one
  ForeignOrigin           a web page of another origin, and no token is asked for
  InsufficientCapacity    too busy; go-livepeer hands the job to another node
    Stopping              the server ends before the request could
  NotReady                no model is being served yet, or no longer
    ModelChanged          another one than that which the request was read for
  RequestTimeout          the whole request took too long
    TooSlow               it would, by what others took here
  TritonFailed            Triton failed; its words stay in the log
    TritonLost            it or a process of its has ended
      TritonRefused       it stops or could not be reached, and has done nothing
    UnknownModel          it serves an `upscale` that `upscale export` did not write
  BrokenPicture           what the model made is no picture
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


class UnsupportedEncoding(UpscaleError):
    """The request's body is compressed or otherwise encoded."""

    headers: ClassVar = {"Accept-Encoding": "identity"}

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The request has Content-Encoding {encoding[:100]!r}; send the body as it is."
        )


class UploadTimeout(UpscaleError):
    """The request's body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The request body did not arrive within {seconds:g} s.")


class Unauthorized(UpscaleError):
    """The bearer token is missing or wrong."""

    headers: ClassVar = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("Invalid bearer token.")


class ForeignOrigin(UpscaleError):
    """A web page of another origin sends the request, and nothing shows that its user may."""

    def __init__(self) -> None:
        super().__init__(
            "Web pages of other origins may not use this server; name theirs in CORS_ORIGINS."
        )


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

    def __init__(
        self, why: str = "The model is not being served now; try again when /health answers 200."
    ) -> None:
        super().__init__(why)


class ModelChanged(NotReady):
    """The request was read for a model that no Triton serves any more."""

    def __init__(self) -> None:
        super().__init__("Another model is served since the request came; send it again.")


class RequestTimeout(UpscaleError):
    """The request took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request took longer than {seconds:g} s and was given up;"
            " ask for fewer steps or send a smaller image."
        )


class TooSlow(RequestTimeout):
    """The request would take longer than it may, by what others took; nothing of it was done."""

    def __init__(self, seconds: float, allowed_s: float) -> None:
        UpscaleError.__init__(
            self,
            f"This server would take {seconds:.0f} s or more for it, and {allowed_s:.0f} s are"
            " allowed; ask for fewer steps or send a smaller image.",
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


class BrokenPicture(UpscaleError):
    """What the model made is no picture: not finite, or of one colour where the image is not."""

    def __init__(self, why: str = "it is broken") -> None:
        super().__init__(
            f"No picture was made: {why}. Another seed or fewer steps may help; if it comes again,"
            " the model has to be exported in a higher precision."
        )


class StoreFailed(UpscaleError):
    """The store of results failed, is full or could not be reached."""

    def __init__(self) -> None:
        super().__init__("The result could not be stored; try again.")
