"""Directories of tags, of which TIFF and EXIF are made.

https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

BEGINNINGS = {b"II*\0": "<", b"MM\0*": ">", b"II\0*": "<", b"MM*\0": ">"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}
MAX_DIRECTORIES = 100

ORIENTATION, EXIF, INTEROPERABILITY = 274, 0x8769, 0xA005


@dataclass(frozen=True)
class Entry:
    """kind: TIFF's number for the type. place: of the first value, from the file's beginning."""

    kind: int
    count: int
    place: int

    @property
    def size(self) -> int:
        """Of all values, bytes."""
        return self.count * SIZES.get(self.kind, 0)


class Directory:
    """Of two entries for a tag the first counts, as for libtiff. Raises struct.error past the end.

    order: struct's sign of the byte order. start: the place of the directory.
    """

    def __init__(self, content: bytes, order: str, start: int) -> None:
        self._content, self._order = content, order
        (length,) = struct.unpack_from(f"{order}H", content, start)
        self.entries: dict[int, Entry] = {}
        for place in range(start + 2, start + 2 + 12 * length, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", content, place)
            entry = Entry(kind, count, place + 8)
            if entry.size > 4:
                (far,) = struct.unpack_from(f"{order}I", content, place + 8)
                entry = Entry(kind, count, far)
            self.entries.setdefault(tag, entry)
        end = start + 2 + 12 * length
        self._next = content[end : end + 4]

    def numbers(self, tag: int, most: int = 64) -> tuple[int, ...]:
        """Whole numbers of 8 to 32 bits, `most` of them at the most; () when there are none."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in NUMBERS:
            return ()
        form = f"{self._order}{min(entry.count, most)}{NUMBERS[entry.kind]}"
        return struct.unpack_from(form, self._content, entry.place)

    def number(self, tag: int, default: int) -> int:
        """The first of its numbers."""
        numbers = self.numbers(tag)
        return numbers[0] if numbers else default

    def data(self, tag: int) -> bytes:
        """The bytes of all values."""
        entry = self.entries.get(tag)
        return b"" if entry is None else self._content[entry.place : entry.place + entry.size]

    def following(self) -> Iterator["Directory"]:
        """This one and those which come after it in the file."""
        directory, seen = self, 1
        yield directory
        while len(directory._next) == 4 and seen < MAX_DIRECTORIES:
            (start,) = struct.unpack(f"{self._order}I", directory._next)
            if start == 0:
                return
            directory, seen = Directory(self._content, self._order, start), seen + 1
            yield directory


def first_directory(content: bytes) -> Directory:
    """Raises struct.error when the content is no TIFF or is cut short."""
    order = BEGINNINGS.get(content[:4])
    if order is None:
        raise struct.error("no byte order")
    return Directory(content, order, struct.unpack_from(f"{order}I", content, 4)[0])
