"""Files of any depth, byte by byte, which no encoder of ours would write."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults.hostile_images import png_chunk

Stored = NDArray[Any]  # whole numbers [H, W, C]
P3_XYZ = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def packed(row: Stored, bits: int) -> bytes:
    """The numbers of a row one after the other, bits from the left, filled up to a byte."""
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    numbers = row.reshape(-1, 1).astype(np.int64)
    return np.packbits((numbers >> np.arange(bits)[::-1] & 1).astype(np.uint8)).tobytes()


def png(stored: Stored, bits: int, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """chunks: those before the pixels."""
    height, width = stored.shape[:2]
    rows = b"".join(b"\0" + packed(row, bits) for row in stored)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    described = b"".join(png_chunk(kind, data) for kind, data in chunks)
    body = png_chunk(b"IHDR", header) + described + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def tiff(
    stored: Stored,
    bits: int,
    photometric: int,
    more: Mapping[int, Sequence[int] | bytes] | None = None,
    *,
    order: str = "<",
    planes: bool = False,
    deflate: bool = False,
) -> bytes:
    """A strip, or with `planes` one a channel. more: tag -> its 16-bit numbers or bytes."""
    height, width, channels = stored.shape
    parts = [stored[..., c : c + 1] for c in range(channels)] if planes else [stored]
    rows = [b"".join(_row(row, bits, order) for row in part) for part in parts]
    strips = [zlib.compress(strip) if deflate else strip for strip in rows]
    tags: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [8 if deflate else 1]),
        262: (3, [photometric]),
        273: (4, [0] * len(strips)),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, [len(strip) for strip in strips]),
        284: (3, [2 if planes else 1]),
    }
    for tag, values in (more or {}).items():
        tags[tag] = (7 if isinstance(values, bytes) else 3, values)

    def pack(kind: int, values: Sequence[int] | bytes) -> bytes:
        if isinstance(values, bytes):
            return values
        return struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)

    start = 10 + 12 * len(tags) + 4
    far = sum(len(data) for data in (pack(*value) for value in tags.values()) if len(data) > 4)
    places = np.cumsum([start + far, *map(len, strips)])[:-1]
    tags[273] = (4, [int(place) for place in places])
    head, beyond = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        data = pack(kind, values)
        head += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(data) > 4:
            head += struct.pack(f"{order}I", start + len(beyond))
            beyond += data
        else:
            head += data.ljust(4, b"\0")
    beginning = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return beginning + head + bytes(4) + beyond + b"".join(strips)


def _row(row: Stored, bits: int, order: str) -> bytes:
    if bits in (16, 32):
        return bytes((row & (2**bits - 1)).astype(f"{order}u{bits // 8}"))
    return packed(row & (2**bits - 1), bits)


def bmp(
    pixels: bytes,
    size: tuple[int, int],
    bits: int,
    compression: int = 0,
    rest: bytes = b"",
    header_bytes: int = 40,
) -> bytes:
    """pixels: rows from the lowest. size: width, height. rest: masks or the palette.

    header_bytes: 108 for version 4, to which four masks belong.
    """
    colours = len(rest) // 4 if bits <= 8 else 0
    numbers = (header_bytes, *size, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    described = struct.pack("<IiiHHIIiiII", *numbers) + rest
    described = described.ljust(header_bytes, b"\0")
    start = 14 + len(described)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + described + pixels


def icc_profile(space: bytes, gamma: float) -> bytes:
    """A monitor's: b"GRAY", or b"RGB " with the primaries of P3; its curve is a power."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"desc": b"desc\0\0\0\0\0\0\0\1\0" + bytes(79)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for name, column in zip((b"r", b"g", b"b"), P3_XYZ, strict=True):
            tags[name + b"XYZ"], tags[name + b"TRC"] = _xyz(column), curve
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(value))
        data += value
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"lcms", 0x02100000, b"mntr", space, b"XYZ "
    )
    header = (header + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz((0.9642, 1, 0.8249))[8:]
    return header.ljust(128, b"\0") + table + data


def _xyz(numbers: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(n * 65536) for n in numbers))


def exif(orientation: int, interoperability: bytes = b"") -> bytes:
    """Without "Exif" before it; interoperability: the index, four bytes."""
    entries = [(274, 3, 1, struct.pack("<HH", orientation, 0))]
    if not interoperability:
        return _directory(entries, 8, b"II*\0\x08\0\0\0")
    entries.append((0x8769, 4, 1, struct.pack("<I", 38)))
    content = _directory(entries, 8, b"II*\0\x08\0\0\0")
    content = _directory([(0xA005, 4, 1, struct.pack("<I", 56))], 38, content)
    return _directory([(1, 2, 4, interoperability)], 56, content)


def _directory(entries: list[tuple[int, int, int, bytes]], place: int, before: bytes) -> bytes:
    assert len(before) == place
    rows = b"".join(struct.pack("<HHI", tag, kind, n) + data for tag, kind, n, data in entries)
    return before + struct.pack("<H", len(entries)) + rows + bytes(4)
