"""Image files that nobody makes but to do harm, byte by byte."""

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.photographs import file_of

FILE_BYTES = 9_900_000  # of the largest: what MAX_BODY_BYTES lets through
SMALL = Image.new("RGB", (8, 8))
HUGE = 60_000  # pixels a side
HEIC = Path(__file__).parents[1] / "gateway" / "images" / "heic" / "called-smaller.heic"


def flood(before: bytes, unit: bytes, after: bytes) -> bytes:
    """As many units as a request holds."""
    return before + unit * ((FILE_BYTES - len(before) - len(after)) // len(unit)) + after


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, pixels: bytes, extra: bytes = b"") -> bytes:
    """RGB; pixels: not compressed yet, of any length. extra: chunks before them."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + head + extra + body + png_chunk(b"IEND", b"")


def png_of_frame(side: int) -> bytes:
    """An animation of 8 x 8 pixels whose first frame is larger than it, black and packed."""
    still = png(8, bytes(200), png_chunk(b"acTL", struct.pack(">II", 1, 0)))
    control = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 10, 0, 0)
    pixels = struct.pack(">I", 1) + zlib.compress(bytes(side * (3 * side + 1)))
    return still[:-12] + png_chunk(b"fcTL", control) + png_chunk(b"fdAT", pixels) + still[-12:]


def gif(extra: bytes) -> bytes:
    """extra: a block before the picture, again and again."""
    content = file_of(Image.new("P", (8, 8)), "GIF")
    colours = 13 + 3 * (2 << (content[10] & 7))
    return flood(content[:colours], extra, content[colours:])


def endless_gif() -> bytes:
    content = file_of(Image.new("P", (8, 8)), "GIF")
    colours = 13 + 3 * (2 << (content[10] & 7))
    return flood(content[:colours], content[colours:-1], b";")


def jpeg(marker: bytes) -> bytes:
    content = file_of(SMALL, "JPEG")
    return flood(content[:2], marker, content[2:])


def jpeg_of_scans() -> bytes:
    """Its last scan, twelve bytes for the whole picture, again and again."""
    content = file_of(Image.new("RGB", (1024, 1024)), "JPEG", progressive=True)
    return flood(content[:-2], content[content.rindex(b"\xff\xda") : -2], content[-2:])


def jpeg_of_size() -> bytes:
    content = bytearray(file_of(SMALL, "JPEG"))
    size = content.index(b"\xff\xc0") + 5
    content[size : size + 4] = struct.pack(">HH", HUGE, HUGE)
    return bytes(content)


def gif_of_size() -> bytes:
    content = bytearray(file_of(Image.new("P", (8, 8)), "GIF"))
    size = content.index(b",") + 5
    content[size : size + 4] = struct.pack("<HH", HUGE, HUGE)
    return bytes(content)


def bmp_of_size() -> bytes:
    content = bytearray(file_of(SMALL, "BMP"))
    content[18:26] = struct.pack("<ii", HUGE, -HUGE)
    return bytes(content)


def webp_of_size() -> bytes:
    """An animation whose canvas is as large as the format has it; its one frame is small."""
    canvas = struct.pack("<I", 16_382)[:3] * 2
    frame = file_of(SMALL, "WEBP")[12:]
    place = bytes(6) + struct.pack("<I", 7)[:3] * 2 + bytes(4)
    chunks = {b"VP8X": b"\x02\0\0\0" + canvas, b"ANIM": bytes(6), b"ANMF": place + frame}
    body = b"".join(k + struct.pack("<I", len(data)) + data for k, data in chunks.items())
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff(entries: list[tuple[int, int, bytes]], data: bytes = b"") -> bytes:
    """entries: tag, type (3: 16 bits, 4: 32 bits), values. Data lies at DATA."""
    head, beyond = b"", b""
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        head += struct.pack("<HHI", tag, kind, len(values) // (2 if kind == 3 else 4))
        if len(values) > 4:
            head += struct.pack("<I", 14 + 12 * len(entries) + len(beyond))
            beyond += values
        else:
            head += values.ljust(4, b"\0")
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + head + bytes(4) + beyond
    return content.ljust(TIFF_DATA, b"\0") + data


TIFF_DATA = 400
GREY = [(256, 8), (257, 8), (258, 8), (262, 1), (277, 1)]  # 8 x 8, 8 bits, black is 0, 1 channel


def tiff_of_tiles(side: int, *more: tuple[int, int, bytes]) -> bytes:
    """8 x 8 pixels in a tile of side x side, all black and packed a thousandfold."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(side)) for _ in range(side)) + packer.flush()
    tags = [*GREY, (259, 8), (322, side), (323, side), (324, TIFF_DATA), (325, len(data))]
    return tiff([*((tag, 4, struct.pack("<I", value)) for tag, value in tags), *more], data)


def tiff_of_tags(count: int) -> bytes:
    """Each tag has the same bytes: most of the file."""
    grey = [*GREY, (259, 1), (273, 8), (278, 8), (279, 64)]
    tags = [(tag, 4, struct.pack("<I", value)) for tag, value in grey]
    content = bytearray(tiff(tags + [(40_000 + n, 4, b"") for n in range(count)]))
    size = 9_000_000 // 4
    for n in range(count):
        place = 10 + 12 * (len(tags) + n)
        struct.pack_into("<HHII", content, place, 40_000 + n, 4, size, 8)
    return bytes(content).ljust(FILE_BYTES, b"\0")


def tiff_of_scans() -> bytes:
    """A strip that is a JPEG, which goes over its picture as often as a file has room."""
    picture = jpeg_of_scans()
    tags = [*GREY[2:], (256, 1024), (257, 1024), (259, 7), (273, TIFF_DATA), (278, 1024)]
    tags.append((279, len(picture)))
    return tiff([(tag, 4, struct.pack("<I", value)) for tag, value in tags], picture)


def jpeg_of_exif(entries: int) -> bytes:
    """Each of its tags has all of the EXIF for its value."""
    rows = b"".join(struct.pack("<HHII", 20_000 + n, 7, 60_000, 8) for n in range(entries))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + bytes(4)
    return file_of(SMALL, "JPEG", exif=exif.ljust(65_000, b"\0"))


def avif(side: int, told: int) -> bytes:
    """The container tells another size (its property ispe) than the picture has."""
    content = bytearray(file_of(Image.new("RGB", (side, side)), "AVIF", speed=10))
    for place in (match.end() + 4 for match in re.finditer(b"ispe", content)):
        content[place : place + 8] = struct.pack(">II", told, told)
    return bytes(content)


def bmp_of_runs() -> bytes:
    """Run lengths that go nowhere: ends of lines, beyond the last line too."""
    palette = file_of(Image.new("P", (8, 8)), "BMP")
    start = int.from_bytes(palette[10:14], "little")
    content = bytearray(flood(palette[:start], b"\0\0", b"\0\1"))
    content[30:34] = struct.pack("<I", 1)
    content[34:38] = struct.pack("<I", len(content) - start)
    return bytes(content)


def tiff_of_strips(count: int) -> bytes:
    """A pixel wide, a row a strip, all of them the same bytes."""
    tags = [*GREY[2:], (256, 1), (259, 1), (278, 1)]
    places = [(273, 4, struct.pack("<I", 8) * count), (279, 4, struct.pack("<I", 1) * count)]
    height = (257, 4, struct.pack("<I", count))
    return tiff([*((tag, 3, struct.pack("<H", value)) for tag, value in tags), height, *places])


TOO_LARGE, DAMAGED = "at most 1048576 are allowed", "damaged"
WITHOUT_TILES, TINY_PARTS = "save it without tiles", "too many tiny parts"
TEXT = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000)))
PROFILE = png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100_000_000)))
SMALL_TILE = [(tag, 4, struct.pack("<I", 16)) for tag in (322, 323)]

# What a file is -> how it is made, and what is said of it; None: it is a picture all the same.
HOSTILE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "PNG of 60000 x 60000": (lambda: png(HUGE, b""), TOO_LARGE),
    "PNG of 2^31 - 1 squared": (lambda: png(2**31 - 1, b""), TOO_LARGE),
    "PNG animation with a frame of 8192 x 8192": (lambda: png_of_frame(8192), DAMAGED),
    "JPEG of 60000 x 60000": (jpeg_of_size, TOO_LARGE),
    "GIF frame of 60000 x 60000": (gif_of_size, TOO_LARGE),
    "BMP of 60000 x 60000": (bmp_of_size, TOO_LARGE),
    "WebP canvas of 16383 x 16383": (webp_of_size, TOO_LARGE),
    "PNG with pixels for 300000 more": (lambda: png(8, bytes(60_000_000)), None),
    "PNG whose texts unpack to 90 MB": (lambda: png(8, bytes(200), TEXT * 100), None),
    "PNG whose profile unpacks to 100 MB": (lambda: png(8, bytes(200), PROFILE), None),
    "TIFF in a tile of 8192 x 8192": (lambda: tiff_of_tiles(8192), WITHOUT_TILES),
    # The first of two entries for a tag holds.
    "TIFF that names its tile twice": (lambda: tiff_of_tiles(8192, *SMALL_TILE), WITHOUT_TILES),
    "TIFF of 5000 tags of 9 MB": (lambda: tiff_of_tags(5000), DAMAGED),
    "TIFF of a JPEG of 800000 scans": (tiff_of_scans, "more than 500 scans"),
    "JPEG whose EXIF is of 5000 tags of 60 kB": (lambda: jpeg_of_exif(5000), None),
    "AVIF of 8000 x 8000": (lambda: avif(8, 8000), TOO_LARGE),
    "AVIF of 4096 x 4096 that calls itself smaller": (lambda: avif(4096, 64), DAMAGED),
    # Of 64 x 64, says its container; made by pillow-heif.
    "HEIC of 4096 x 4096 that calls itself smaller": (HEIC.read_bytes, DAMAGED),
    "BMP of empty runs": (bmp_of_runs, None),
    "JPEG of 800000 scans": (jpeg_of_scans, "more than 500 scans"),
    "endless GIF": (endless_gif, None),
    # Files of which every byte costs time and memory before a pixel is decoded.
    "JPEG of empty segments": (lambda: jpeg(b"\xff\xe5\0\x02"), TINY_PARTS),
    "JPEG of empty comments": (lambda: jpeg(b"\xff\xfe\0\x02"), TINY_PARTS),
    "JPEG of padding": (lambda: jpeg(b"\xff"), None),
    "PNG of empty chunks": (
        lambda: png(8, bytes(200), flood(b"", png_chunk(b"aaAa", b""), b"")),
        TINY_PARTS,
    ),
    "GIF of comments": (lambda: gif(b"!\xfe\x01a\0"), TINY_PARTS),
    "GIF of junk": (lambda: gif(b"x"), TINY_PARTS),
    "TIFF of strips": (lambda: tiff_of_strips(1_000_000), "more than 65536 strips"),
}
