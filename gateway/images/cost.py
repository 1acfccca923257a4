"""What reading an upload may cost: little files can keep a decoder busy beyond their pixels."""

import io
from collections.abc import Callable

from gateway.errors import InvalidImage

# Called with width and height as soon as they are known; raises ImageTooLarge.
Bound = Callable[[int, int], None]
MAX_READS = 100_000  # a decoder reads thousands of bytes at a time; 10 MB of real files take 5000
MAX_SCANS = 500  # of a progressive JPEG, over all of its pictures; encoders make some ten
MAX_PARTS = 65_536  # strips or tiles of a TIFF, segments of a JPEG, chunks of a PNG
MAX_TILE_SIDE = 2048  # pixels
MAX_PROFILE_BYTES = 4_000_000  # of an ICC profile; those of printing presses take 2

TINY_PARTS = "The image is made of too many tiny parts; save it anew."
DAMAGED = "The image is damaged or cut short; it could not be decoded."


class Upload(io.BytesIO):
    """The file for a decoder, which may read it in MAX_READS pieces. Raises InvalidImage."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise InvalidImage(TINY_PARTS)
        return super().read(size)
