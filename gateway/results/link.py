"""Links to results: a name that nobody guesses, signed, valid for a while."""

import hashlib

from itsdangerous import BadSignature, SignatureExpired, TimestampSigner
from starlette.exceptions import HTTPException


class ResultLinks:
    """Signs names and checks them. ttl_s: how long a signature is valid, seconds."""

    def __init__(self, key: str | bytes, ttl_s: int) -> None:
        self._signer = TimestampSigner(key, salt="media", digest_method=hashlib.sha256)
        self._ttl_s = ttl_s

    def sign(self, name: str) -> str:
        """The signature that `remaining_s` takes; it begins with the time."""
        return self._signer.sign(name).decode().removeprefix(f"{name}.")

    def remaining_s(self, name: str, signature: str) -> int:
        """How long the link stays valid, seconds. Raises HTTPException: 404 forged, 410 too old."""
        try:
            _, signed_at = self._signer.unsign(
                f"{name}.{signature}", self._ttl_s, return_timestamp=True
            )
        except SignatureExpired as error:
            raise gone() from error
        except BadSignature as error:
            raise not_found() from error
        age_s = self._signer.get_timestamp() - int(signed_at.timestamp())
        return max(0, self._ttl_s - age_s)


def not_found() -> HTTPException:
    """The same for a wrong name and a wrong signature: it tells nothing of what is there."""
    return HTTPException(404, "There is no such result; take the link as /upscale gave it.")


def gone() -> HTTPException:
    """What was there once is there no more."""
    return HTTPException(410, "The link has expired; send the image to /upscale again.")
