"""GIF and BMP, which describe no colours."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.gateway.images import files
from tests.gateway.images.cells import (
    COLOURS,
    NONE,
    OPACITY,
    PATCH,
    Array,
    Cell,
    patches,
    seen,
    stored,
)
from tests.photographs import file_of


def plain_cells() -> Iterator[Cell]:
    palette = Image.new("P", (3 * PATCH, 2 * PATCH))
    palette.putpalette(COLOURS.astype(np.uint8).tobytes())
    palette.putdata(patches(np.arange(6).reshape(2, 3)).reshape(-1).tolist())
    shares = patches(COLOURS) / 255
    clear = patches((np.arange(6) != 2).astype(float).reshape(2, 3))
    yield Cell(
        "GIF, palette, 8 bits",
        "none",
        1,
        file_of(palette, "GIF"),
        seen(shares, NONE, None),
        "",
        "image/gif",
    )
    keyed = file_of(palette, "GIF", transparency=2)
    yield Cell(
        "GIF, palette, 8 bits, tRNS", "none", 1, keyed, seen(shares, NONE, clear), "", "image/gif"
    )
    canvas = bytearray(file_of(palette, "GIF"))
    canvas[6:8] = (4 * PATCH).to_bytes(2, "little")
    wide = np.pad(shares, ((0, 0), (0, PATCH), (0, 0)), constant_values=1)
    yield Cell("GIF, palette, 8 bits, smaller than its canvas", "none", 1, bytes(canvas),
               seen(wide, NONE, None), "", "image/gif")  # fmt: skip
    for bits, content, expected in bitmaps():
        yield Cell(f"BMP, {bits}", "none", 1, content, expected, "", "image/bmp")


def bitmaps() -> Iterator[tuple[str, bytes, Array]]:
    shares, size = patches(COLOURS) / 255, (3 * PATCH, 2 * PATCH)
    bgr = patches(COLOURS)[::-1, :, ::-1].astype(np.uint8)
    clear = patches(OPACITY)[::-1, :, None].astype(np.uint8)
    yield "RGB, 8 bits", files.bmp(bgr.tobytes(), size, 24), seen(shares, NONE, None)
    four = np.concatenate([bgr, clear], 2).tobytes()
    yield "RGB, 8 bits, a byte unused", files.bmp(four, size, 32), seen(shares, NONE, None)
    channels = b"".join((0xFF << shift).to_bytes(4, "little") for shift in (16, 8, 0, 24))
    straight = files.bmp(four, size, 32, 3, channels, 108)
    yield "RGB, 8 bits, alpha", straight, seen(shares, NONE, patches(OPACITY) / 255)
    for name, masks in (
        ("5 bits", (31 << 10, 31 << 5, 31)),
        ("5, 6 and 5 bits", (31 << 11, 63 << 5, 31)),
    ):
        widths = [mask.bit_count() for mask in masks]
        few = [stored(COLOURS[..., c], widths[c]) for c in range(3)]
        pixels = sum(few[c] << ((masks[c] & -masks[c]).bit_length() - 1) for c in range(3))
        rows = patches(np.asarray(pixels))[::-1].astype("<u2").tobytes()
        rest = b"".join(mask.to_bytes(4, "little") for mask in masks)
        part = patches(np.stack([few[c] / (2 ** widths[c] - 1) for c in range(3)], 2))
        yield f"RGB, {name}", files.bmp(rows, size, 16, 3, rest), seen(part, NONE, None)
    table = b"".join(
        bytes(int(n) for n in colour[::-1]) + b"\0" for colour in COLOURS.reshape(-1, 3)
    )
    indices = patches(np.arange(6).reshape(2, 3))[::-1]
    for bits, compression in ((4, 2), (8, 1)):
        rows = b"".join(files.packed(row, bits) for row in indices)
        expected = seen(shares, NONE, None)
        yield f"palette, {bits} bits", files.bmp(rows, size, bits, 0, table), expected
        runs = b"".join(_runs(row, bits) for row in indices) + b"\0\1"
        yield (
            f"palette, {bits} bits, RLE",
            files.bmp(runs, size, bits, compression, table),
            expected,
        )
    one = indices % 2
    rows = b"".join(files.packed(row, 1).ljust(4, b"\0") for row in one)
    expected = seen(COLOURS.reshape(-1, 3)[one[::-1]] / 255, NONE, None)
    yield "palette, 1 bit", files.bmp(rows, size, 1, 0, table[:8]), expected


def _runs(row: Array, bits: int) -> bytes:
    """Each patch a run, then the end of the line."""
    numbers = [int(row[x]) for x in range(0, len(row), PATCH)]
    return b"".join(bytes([PATCH, n * 17 if bits == 4 else n]) for n in numbers) + b"\0\0"
