"""The file in a JSON body: base64, or a data: URL of it."""

import base64
import binascii

from gateway.errors import InvalidImage

# Of the text, a multiple of 4: base64 holds the GIL, and one piece takes less than a millisecond.
PIECE_CHARS = 4 * 2**16
WHITE_SPACE = str.maketrans("", "", " \t\r\n")  # as `base64` breaks its lines


def decode_image(text: str) -> bytes:
    """The file. Raises InvalidImage for what is no base64."""
    if text.lower().startswith("data:"):  # https://www.rfc-editor.org/rfc/rfc2397
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise InvalidImage("image is a data: URL that is not in base64.")
    text = text.translate(WHITE_SPACE)
    if text.find("=", 0, -2) >= 0:  # in the end of a piece it would pass for the end
        raise _no_base64()
    pieces = (text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS))
    try:
        return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (binascii.Error, ValueError) as error:
        raise _no_base64() from error


def _no_base64() -> InvalidImage:
    return InvalidImage(
        "image is not base64; send the file in base64, or a data: URL of it. Nothing is fetched"
        " from an address."
    )
