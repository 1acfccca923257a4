"""TIFF of every depth, with and without alpha, sign and planes, in both byte orders."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.gateway.images import files
from tests.gateway.images.cells import (
    COLOURS,
    INKS,
    NONE,
    OPACITY,
    PROFILES,
    Cell,
    Described,
    composited,
    patches,
    seen,
    stored,
)


def tiff_cells() -> Iterator[Cell]:
    """Photometric interpretation: 0 and 1 grey, 2 RGB, 3 palette, 5 CMYK."""
    grey = product((("grey", 1), ("grey, white is 0", 0)), (1, 2, 4, 8, 10, 12, 14, 16))
    rgb = product((("RGB", 2),), (8, 10, 12, 14, 16))
    cmyk = product((("CMYK", 5),), (8, 16))
    for ((name, photometric), bits), alpha, signed in product(
        [*grey, *rgb, *cmyk], ("", "alpha", "premultiplied", "unspecified"), (False, True)
    ):
        if bits < 8 and (signed or alpha not in ("", "alpha")):
            continue
        for order, planes, orientation in product("<>", (False, True), (1, 6)):
            yield _tiff_cell(
                name, photometric, bits, alpha, signed, NONE, order, planes, orientation
            )
        if photometric != 5:
            profile = PROFILES[name == "RGB"]
            yield _tiff_cell(name, photometric, bits, alpha, signed, profile, ">", False, 6)
    for bits, one, order in product((1, 2, 4, 8), (NONE, PROFILES[1]), "<>"):
        count = min(2**bits, 6)
        table = np.zeros((2**bits, 3), np.int64)
        table[:count] = COLOURS.reshape(-1, 3)[:count] * 257
        indices = patches(np.arange(6).reshape(2, 3) % count)
        more: dict[int, Any] = {
            320: table.T.reshape(-1).tolist(),
            **({34675: one.icc} if one.icc else {}),
        }
        content = files.tiff(indices[..., None], bits, 3, more, order=order)
        expected = seen(table[indices] / 65535, one, None)
        yield Cell(f"TIFF, palette, {bits} bits", one.name, 1, content, expected)
    for what, photometric, bits, more, refused in (
        ("grey, 32 bits", 1, 32, {}, "32 bits per channel"),
        ("grey, 32 bits, fraction", 1, 32, {339: [3]}, "32 bits per channel with a fraction"),
        ("grey, 16 bits, fraction", 1, 16, {339: [3]}, "with a fraction"),
        ("grey, 6 bits", 1, 6, {}, "6 bits"),
        ("a mask", 4, 8, {}, "a mask"),
        ("raw", 32803, 8, {}, "a raw photograph"),
        ("none", 9999, 8, {}, "unknown kind (9999)"),
    ):
        content = files.tiff(patches(stored(COLOURS[..., :1], bits)), bits, photometric, more)
        yield Cell(f"TIFF, {what}", "none", 1, content, None, refused)
    lab = files.tiff(patches(COLOURS), 8, 8)
    yield Cell("TIFF, Lab", "none", 1, lab, None, "L*a*b*")


def _tiff_cell(
    name: str, photometric: int, bits: int, alpha: str, signed: bool, described: Described,
    order: str, planes: bool, orientation: int,
) -> Cell:  # fmt: skip
    most = 2**bits - 1
    values = {"grey": COLOURS[..., :1], "RGB": COLOURS, "CMYK": INKS}[name.partition(",")[0]]
    samples = patches(stored(values, bits))
    shares, opacity = samples / most, None
    more: dict[int, Any] = {274: [orientation]}
    if photometric == 0:
        shares = 1 - shares
    if alpha:
        clear = patches(stored(OPACITY, bits))
        more[338] = [{"unspecified": 0, "premultiplied": 1, "alpha": 2}[alpha]]
        if alpha != "unspecified":
            opacity = clear / most
        if alpha == "premultiplied":
            dark = (shares * (clear / most)[..., None] * most).round().astype(np.int64)
            shares = dark / np.maximum(clear, 1)[..., None]
            samples = most - dark if photometric == 0 else dark
        samples = np.concatenate([samples, clear[..., None]], 2)
    if signed:
        samples, more[339] = samples - 2 ** (bits - 1), [2] * samples.shape[2]
    if described.icc:
        more[34675] = described.icc
    content = files.tiff(
        samples, bits, photometric, more, order=order, planes=planes, deflate=planes
    )
    kind = ", ".join(
        [f"TIFF, {name}, {bits} bits", *([alpha] if alpha else []), *(["signed"] if signed else [])]
    )
    single = samples.shape[2] == 1
    odd = bits in (10, 12, 14)
    readable = (
        bits in (8, 16)
        or (odd and not (signed or photometric == 5))
        or (bits < 8 and single and not signed)
    )
    channels = samples.shape[2]
    if (odd and ((planes and not single) or channels == 2)) or (planes and channels == 2):
        readable = False
    if not readable:
        return Cell(
            kind + (", planes" if planes else ""),
            described.name,
            orientation,
            content,
            None,
            f"{bits} bits",
        )
    if photometric == 5:
        rgb = (1 - shares[..., :3]) * (1 - shares[..., 3:])
        expected = composited(rgb, opacity, orientation)
    else:
        expected = seen(shares, described, opacity, orientation)
    return Cell(kind, described.name, orientation, content, expected)
