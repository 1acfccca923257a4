"""One tree of what can go wrong; every text is a sentence for the user.

ClientError
  UsageError         SOURCE, OUTPUT or the URL cannot be used; nothing was sent
  ServerUnusable     no server at the URL, or it refuses the token; ends the whole run
  ImageFailed        one image; the others go on
    Busy             the server asks to try again later
    ConnectionLost   the answer stopped half-way
"""


class ClientError(Exception):
    """Something that the user is told in one sentence."""


class UsageError(ClientError):
    """What the user named cannot be used."""


class ServerUnusable(ClientError):
    """No image can be made, whichever it is."""


class ImageFailed(ClientError):
    """One image could not be made or written."""


class Busy(ImageFailed):
    """The server has no room now; `retry_after_s` seconds later it may."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConnectionLost(ImageFailed):
    """The connection broke after the request had begun."""
