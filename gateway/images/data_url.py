"""A file as a data URL, made in pieces."""

import base64
from collections.abc import Iterator

from gateway.images.write import KINDS, OutputFormat

# Of the file. A multiple of 3, so that only the last piece is padded. base64 holds the GIL, so that
# a file of 36 MB in one piece would keep everything else waiting for 40 ms, also from a thread.
PIECE_BYTES = 3 * 2**16


class DataUrl:
    """RFC 2397. Its length is known before any of it is made; it needs no escaping in JSON."""

    def __init__(self, content: bytes, output_format: OutputFormat) -> None:
        self._content = content
        self._prefix = f"data:{KINDS[output_format].media_type};base64,".encode()

    def __len__(self) -> int:
        return len(self._prefix) + -(-len(self._content) // 3) * 4

    def __str__(self) -> str:
        return b"".join(self.pieces()).decode("ascii")

    def pieces(self) -> Iterator[bytes]:
        """ASCII; each takes a fraction of a millisecond."""
        yield self._prefix
        content = memoryview(self._content)
        for start in range(0, len(content), PIECE_BYTES):
            yield base64.b64encode(content[start : start + PIECE_BYTES])
