"""What reading an upload may cost: little files can keep a decoder busy beyond their pixels."""

import io
import struct

from gateway.errors import InvalidImage

MAX_READS = 100_000  # a decoder reads thousands of bytes at a time; 10 MB of real files take 5000
MAX_SCANS = 500  # of a progressive JPEG, over all of its pictures; encoders make some ten
MAX_PARTS = 65_536  # strips or tiles of a TIFF
MAX_TILE_SIDE = 2048  # pixels

JPEG, START_OF_SCAN = b"\xff\xd8", b"\xff\xda"
# TIFF 6.0: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
TIFF, BIG_TIFF = (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0"), (b"II+\0", b"MM\0+")
TILE_WIDTH, TILE_LENGTH = 322, 323
PLACES = (273, 279, 324, 325)  # of strips and tiles, and how many bytes each has
SHORT, LONG = 3, 4


class Upload(io.BytesIO):
    """The file for a decoder, which may read it in MAX_READS pieces. Raises InvalidImage."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise InvalidImage("The image is made of too many tiny parts; save it anew.")
        return super().read(size)


def check_cost(content: bytes) -> None:
    """Before a decoder sees it. Raises InvalidImage for what would take minutes or gigabytes."""
    # In every scan a decoder goes over the whole picture, and twelve bytes make one.
    if content.startswith(JPEG) and content.count(START_OF_SCAN) > MAX_SCANS:
        raise InvalidImage(f"The image has more than {MAX_SCANS} scans; save it as another JPEG.")
    if content.startswith(BIG_TIFF):  # which decoders do not read alike
        raise InvalidImage("The image is a BigTIFF; save it as TIFF.")
    if content.startswith(TIFF):
        _check_directory(content, "<" if content.startswith(b"II") else ">")


def _check_directory(content: bytes, order: str) -> None:
    """All entries, as Pillow takes the last of two for one tag and libtiff the first."""
    try:
        (start,) = struct.unpack_from(f"{order}I", content, 4)
        (length,) = struct.unpack_from(f"{order}H", content, start)
        entries = content[start + 2 : start + 2 + 12 * length]
        for tag, kind, count, value in struct.iter_unpack(f"{order}HHI4s", entries):
            if tag in PLACES and count > MAX_PARTS:
                raise InvalidImage(f"The image has more than {MAX_PARTS} strips; save it anew.")
            # A tile is decoded whole, however little of it lies in the picture.
            if tag in (TILE_WIDTH, TILE_LENGTH) and _number(order, kind, value) > MAX_TILE_SIDE:
                raise InvalidImage("The image has very large tiles; save it without tiles.")
    except struct.error as error:
        raise InvalidImage("The image is damaged or cut short; it could not be decoded.") from error


def _number(order: str, kind: int, value: bytes) -> float:
    if kind == SHORT:
        return int(struct.unpack_from(f"{order}H", value)[0])
    return int(struct.unpack(f"{order}I", value)[0]) if kind == LONG else float("inf")
