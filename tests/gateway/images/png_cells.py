"""PNG of every colour type and depth, with every description of its colours."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from tests.gateway.images import files
from tests.gateway.images.cells import (
    COLOURS,
    OPACITY,
    PROFILES,
    Array,
    Cell,
    Described,
    orientations,
    patches,
    power,
    seen,
    stored,
)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


GAMMA = (b"gAMA", numbers(100_000))
P3_PRIMARIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
PNG_DESCRIBED = [
    Described("none"),
    *(replace(d, chunks=((b"iCCP", b"x\0\0" + zlib.compress(d.icc)), GAMMA)) for d in PROFILES),
    Described("sRGB", chunks=((b"sRGB", b"\0"), GAMMA)),
    Described("gAMA", power(1), chunks=(GAMMA,)),
    Described("gAMA, cHRM", power(1.8), "P3",
              ((b"gAMA", numbers(55_556)), (b"cHRM", numbers(*P3_PRIMARIES)))),
    Described("cICP P3", primaries="P3", chunks=((b"cICP", bytes([12, 13, 0, 1])), GAMMA)),
    Described("cICP BT.2020", power(2.4), "2020", ((b"cICP", bytes([9, 14, 0, 1])),)),
    Described("cICP PQ", chunks=((b"cICP", bytes([9, 16, 0, 1])),), refused="(PQ)"),
    Described("cICP HLG", chunks=((b"cICP", bytes([9, 18, 0, 1])),), refused="(HLG)"),
]  # fmt: skip


def png_cells() -> Iterator[Cell]:
    grey = [("grey", 0, bits, alpha) for bits in (1, 2, 4, 8, 16) for alpha in ("", "tRNS")]
    rgb = [("RGB", 2, bits, alpha) for bits in (8, 16) for alpha in ("", "tRNS")]
    straight = [
        (name, kind, bits, "alpha") for name, kind in (("grey", 4), ("RGB", 6)) for bits in (8, 16)
    ]
    palette = [("palette", 3, bits, alpha) for bits in (1, 2, 4, 8) for alpha in ("", "tRNS")]
    for (name, colour_type, bits, alpha), described in product(
        grey + rgb + straight + palette, PNG_DESCRIBED
    ):
        if described.icc and ("grey" in described.name) != (name == "grey"):
            continue
        samples, shares, opacity, chunks = _png_samples(name, bits, alpha)
        for orientation in orientations(described):
            more = [*described.chunks, *chunks, (b"eXIf", files.exif(orientation))]
            content = files.png(samples, bits, colour_type, *more)
            expected = None if described.refused else seen(shares, described, opacity, orientation)
            kind = f"PNG, {name}, {bits} bits" + (f", {alpha}" if alpha else "")
            yield Cell(
                kind, described.name, orientation, content, expected, described.refused, "image/png"
            )


def _png_samples(name: str, bits: int, alpha: str) -> tuple[Array, Array, Array | None, list[Any]]:
    """Stored numbers, colours as shares, opacity as shares, chunks."""
    most, chunks = 2**bits - 1, list[tuple[bytes, bytes]]()
    opacity: Array | None = None
    if name == "palette":
        count = min(2**bits, 6)
        table = COLOURS.reshape(-1, 3)[:count]
        indices = patches(np.arange(6).reshape(2, 3) % count)
        chunks.append((b"PLTE", table.astype(np.uint8).tobytes()))
        if alpha:
            chunks.append((b"tRNS", OPACITY.reshape(-1)[:count].astype(np.uint8).tobytes()))
            opacity = OPACITY.reshape(-1)[indices] / 255
        return indices[..., None], table[indices] / 255, opacity, chunks
    samples = patches(stored(COLOURS[..., :1] if name == "grey" else COLOURS, bits))
    shares = samples / most
    if alpha == "tRNS":
        key = samples[0, 0]
        chunks.append((b"tRNS", b"".join(int(value).to_bytes(2, "big") for value in key)))
        opacity = (samples != key).any(axis=2).astype(float)
    elif alpha:
        clear = patches(stored(OPACITY, bits))
        opacity = clear / most
        samples = np.concatenate([samples, clear[..., None]], 2)
    return samples, shares, opacity, chunks
