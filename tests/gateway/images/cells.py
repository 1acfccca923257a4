"""Every kind of picture crossed with every description of its colours, and what arithmetic says.

The arithmetic here is its own: float64, matrices as published, nothing of the gateway's.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.gateway.images import files
from tests.photographs import file_of

PATCH = 8  # pixels a side; a picture is 3 x 2 patches
COLOURS = np.array(
    [[[200, 60, 40], [60, 180, 70], [10, 20, 30]], [[128, 128, 128], [250, 210, 5], [0, 90, 255]]]
)
OPACITY = np.array([[255, 128, 64], [200, 0, 255]])
INKS = np.array(
    [[[0, 200, 220, 10], [180, 10, 200, 40], [90, 80, 70, 180]],
     [[0, 0, 0, 128], [5, 30, 250, 0], [255, 150, 0, 30]]]
)  # fmt: skip
Array = NDArray[Any]
Transfer = Callable[[Array], Array]
TO_SRGB = {  # light in these primaries -> in sRGB's; http://www.brucelindbloom.com and BT.2087
    "sRGB": np.eye(3),
    "P3": np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]]),
    "2020": np.array(
        [
            [1.66049, -0.58764, -0.07285],
            [-0.12455, 1.13290, -0.00835],
            [-0.01815, -0.10058, 1.11873],
        ]
    ),
    "Adobe": np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]]),
}


def srgb(stored: Array) -> Array:
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def bt709(stored: Array) -> Array:
    return np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))


def power(exponent: float) -> Transfer:
    return lambda stored: stored**exponent


@dataclass(frozen=True)
class Described:
    """refused: a word of the sentence, for what is to be refused."""

    name: str
    transfer: Transfer = srgb
    primaries: str = "sRGB"
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    icc: bytes = b""
    refused: str = ""


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


GREY_ICC, RGB_ICC = (files.icc_profile(space, 1.8) for space in (b"GRAY", b"RGB "))
GAMMA = (b"gAMA", numbers(100_000))
P3_PRIMARIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
PROFILES = [
    Described("ICC, grey", power(1.8), icc=GREY_ICC),
    Described("ICC, RGB", power(1.8), "P3", icc=RGB_ICC),
]
PNG_DESCRIBED = [
    Described("none"),
    *(replace(d, chunks=((b"iCCP", b"x\0\0" + zlib.compress(d.icc)), GAMMA)) for d in PROFILES),
    Described("sRGB", chunks=((b"sRGB", b"\0"), GAMMA)),
    Described("gAMA", power(1), chunks=(GAMMA,)),
    Described("gAMA, cHRM", power(1.8), "P3",
              ((b"gAMA", numbers(55_556)), (b"cHRM", numbers(*P3_PRIMARIES)))),
    Described("cICP P3", primaries="P3", chunks=((b"cICP", bytes([12, 13, 0, 1])), GAMMA)),
    Described("cICP BT.2020", bt709, "2020", ((b"cICP", bytes([9, 14, 0, 1])),)),
    Described("cICP PQ", chunks=((b"cICP", bytes([9, 16, 0, 1])),), refused="(PQ)"),
    Described("cICP HLG", chunks=((b"cICP", bytes([9, 18, 0, 1])),), refused="(HLG)"),
]  # fmt: skip
NONE = PNG_DESCRIBED[0]
AVIF_DESCRIBED = {
    "none": (Described("none"), (1, 13)),
    "P3": (Described("cICP P3", primaries="P3"), (12, 13)),
    "2020": (Described("cICP BT.2020", primaries="2020"), (9, 14)),
    "PQ": (Described("cICP PQ", refused="(PQ)"), (9, 16)),
    "HLG": (Described("cICP HLG", refused="(HLG)"), (9, 18)),
}


@dataclass(frozen=True)
class Cell:
    """kind: format, colours, bits and alpha. expected: [H, W, 3] float, None: refused.

    media_type: for Chromium; "" where it has no such format, or leaves aside what this is about.
    """

    kind: str
    described: str
    orientation: int
    content: bytes
    expected: Array | None
    refused: str = ""
    media_type: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind} | {self.described} | {self.orientation}"


def patches(values: Array) -> Array:
    """[2, 3, ...] -> a picture of patches."""
    return values.repeat(PATCH, 0).repeat(PATCH, 1)


def stored(values: Array, bits: int) -> Array:
    """0 to 255 -> whole numbers of so many bits."""
    return (values * (2**bits - 1) / 255).round().astype(np.int64)


def seen(shares: Array, described: Described, opacity: Array | None, orientation: int = 1) -> Array:
    """shares: stored numbers of [0, 1], 1 or 3 channels -> what a screen shows, 0 to 255."""
    light = described.transfer(np.asarray(shares, np.float64))
    if light.shape[-1] == 3:
        light = light @ TO_SRGB[described.primaries].T
    light = light.clip(0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return composited(np.broadcast_to(shown, (*shown.shape[:2], 3)), opacity, orientation)


def composited(shown: Array, opacity: Array | None, orientation: int) -> Array:
    if opacity is not None:
        shown = shown * opacity[..., None] + 1 - opacity[..., None]
    turn = [
        lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1],
        lambda a: a.swapaxes(0, 1), lambda a: np.rot90(a, -1), lambda a: a[::-1, ::-1].swapaxes(0, 1),
        lambda a: np.rot90(a),
    ][orientation - 1]  # fmt: skip
    return turn(shown) * 255


def orientations(described: Described) -> tuple[int, ...]:
    return tuple(range(1, 9)) if described.name == "none" else (1, 6)


def png_cells() -> Iterator[Cell]:
    grey = [("grey", 0, bits, alpha) for bits in (1, 2, 4, 8, 16) for alpha in ("", "tRNS")]
    rgb = [("RGB", 2, bits, alpha) for bits in (8, 16) for alpha in ("", "tRNS")]
    alpha = [
        (name, kind, bits, "alpha") for name, kind in (("grey", 4), ("RGB", 6)) for bits in (8, 16)
    ]
    palette = [("palette", 3, bits, alpha) for bits in (1, 2, 4, 8) for alpha in ("", "tRNS")]
    for (name, colour_type, bits, alpha), described in product(
        grey + rgb + alpha + palette, PNG_DESCRIBED
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
    most, chunks, opacity = 2**bits - 1, [], None
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


def by_lcms(inks: Array, icc: bytes) -> Array:
    """CMYK by a press's profile, relative colorimetric -> [0, 1]."""
    rgb = ImageCms.profileToProfile(
        Image.fromarray(inks.astype(np.uint8), "CMYK"),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return np.asarray(rgb) / 255


def tiff_cells() -> Iterator[Cell]:
    """Photometric interpretation: 0 and 1 grey, 2 RGB, 3 palette, 5 CMYK."""
    grey = product((("grey", 1), ("grey, white is 0", 0)), (1, 2, 4, 8, 10, 12, 14, 16))
    rgb = product((("RGB", 2),), (8, 10, 12, 14, 16))
    cmyk = product((("CMYK", 5),), (8, 16))
    for ((name, photometric), bits), alpha, signed in product(
        [*grey, *rgb, *cmyk], ("", "alpha", "premultiplied", "unspecified"), (False, True)
    ):
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
    shares, opacity, more = samples / most, None, {274: [orientation]}
    if photometric == 0:
        shares = 1 - shares
    if alpha:
        clear = patches(stored(OPACITY, bits))
        more[338] = [{"unspecified": 0, "premultiplied": 1, "alpha": 2}[alpha]]
        if alpha != "unspecified":
            opacity = clear / most
        if alpha == "premultiplied":
            dark = 1 - shares if photometric == 0 else shares
            dark = shares if photometric == 0 else dark
            samples = (dark * opacity[..., None] * most).round().astype(np.int64)
            known = samples / np.maximum(clear, 1)[..., None]
            shares = known
            samples = most - samples if photometric == 0 else samples
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


def jpeg_cells(press: bytes) -> Iterator[Cell]:
    """press: a profile of CMYK."""
    grey, rgb = COLOURS[..., :1], COLOURS
    adobe = Described("EXIF R03", power(2.2), "Adobe")
    for name, values, described in (
        ("grey", grey, NONE), ("grey", grey, PROFILES[0]), ("RGB", rgb, NONE),
        ("RGB", rgb, PROFILES[1]), ("RGB", rgb, adobe), ("grey", grey, replace(adobe, primaries="sRGB")),
    ):  # fmt: skip
        image = Image.fromarray(patches(values).astype(np.uint8).squeeze())
        for orientation in orientations(described):
            exif = files.exif(orientation, b"R03\0" if described.name == "EXIF R03" else b"")
            content = file_of(image, "JPEG", quality=100, subsampling=0, icc_profile=described.icc,
                              exif=b"Exif\0\0" + exif)  # fmt: skip
            # As it was stored: the loss is the encoder's.
            shares = (
                np.asarray(Image.open(io.BytesIO(content))).reshape(2 * PATCH, 3 * PATCH, -1) / 255
            )
            expected = seen(shares, described, None, orientation)
            media_type = "" if described.name == "EXIF R03" else "image/jpeg"
            yield Cell(
                f"JPEG, {name}, 8 bits",
                described.name,
                orientation,
                content,
                expected,
                "",
                media_type,
            )
            yield Cell(
                f"JPEG, {name}, 12 bits",
                described.name,
                orientation,
                _of_12_bits(content),
                None,
                "12 bits",
            )
    for described in (NONE, Described("ICC, CMYK", icc=press)):
        inks = Image.fromarray(patches(INKS).astype(np.uint8), "CMYK")
        content = file_of(inks, "JPEG", quality=100, subsampling=0, icc_profile=described.icc)
        decoded = np.asarray(Image.open(io.BytesIO(content)))
        plain = (255 - decoded[..., :3] / 1.0) * (255 - decoded[..., 3:]) / 255**2
        expected = by_lcms(decoded, press) * 255 if described.icc else plain * 255
        # Chromium's own interpolation of a press's table is up to 10 beside lcms's.
        media_type = "" if described.icc else "image/jpeg"
        yield Cell("JPEG, CMYK, 8 bits", described.name, 1, content, expected, "", media_type)


def _of_12_bits(content: bytes) -> bytes:
    place = content.index(b"\xff\xc0") + 4
    return content[:place] + b"\x0c" + content[place + 1 :]


def webp_cells() -> Iterator[Cell]:
    """Chromium leaves EXIF of WebP aside, cameras' programs do not."""
    for alpha, described, orientation in product((False, True), (NONE, PROFILES[1]), range(1, 9)):
        samples = patches(np.concatenate([COLOURS, OPACITY[..., None]], 2) if alpha else COLOURS)
        image = Image.fromarray(samples.astype(np.uint8))
        content = file_of(image, "WEBP", lossless=True, exact=True, icc_profile=described.icc,
                          exif=files.exif(orientation))  # fmt: skip
        opacity = samples[..., 3] / 255 if alpha else None
        expected = seen(samples[..., :3] / 255, described, opacity, orientation)
        kind = "WebP, RGB, 8 bits" + (", alpha" if alpha else "")
        media_type = "image/webp" if orientation == 1 else ""
        yield Cell(kind, described.name, orientation, content, expected, "", media_type)


def avif_cells() -> Iterator[Cell]:
    """Orientation: Pillow writes it as the container's own, which Chromium obeys."""
    for alpha, (described, code), orientation in product(
        (False, True), AVIF_DESCRIBED.values(), (1, 3, 6, 8)
    ):
        samples = patches(np.concatenate([COLOURS, OPACITY[..., None]], 2) if alpha else COLOURS)
        image = Image.fromarray(samples.astype(np.uint8))
        content = file_of(image, "AVIF", quality=100, subsampling="4:4:4",
                          exif=b"Exif\0\0" + files.exif(orientation))  # fmt: skip
        place = content.index(b"colrnclx") + 8
        content = (
            content[:place] + b"".join(n.to_bytes(2, "big") for n in code) + content[place + 4 :]
        )
        decoded = np.asarray(Image.open(io.BytesIO(content)))  # as stored: the encoder loses some
        opacity = decoded[..., 3] / 255 if alpha else None
        expected = (
            None
            if described.refused
            else seen(decoded[..., :3] / 255, described, opacity, orientation)
        )
        kind = "AVIF, RGB, 8 bits" + (", alpha" if alpha else "")
        yield Cell(
            kind, described.name, orientation, content, expected, described.refused, "image/avif"
        )
    image = Image.fromarray(patches(COLOURS).astype(np.uint8))
    content = file_of(image, "AVIF", quality=100, subsampling="4:4:4", icc_profile=RGB_ICC)
    decoded = np.asarray(Image.open(io.BytesIO(content))) / 255
    yield Cell(
        "AVIF, RGB, 8 bits",
        "ICC, RGB",
        1,
        content,
        seen(decoded, PROFILES[1], None),
        "",
        "image/avif",
    )


def other_cells() -> Iterator[Cell]:
    """GIF and BMP, which describe no colours."""
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
    yield ("RGB, 8 bits, a byte unused", files.bmp(np.concatenate([bgr, clear], 2).tobytes(), size, 32),
           seen(shares, NONE, None))  # fmt: skip
    channels = b"".join((0xFF << shift).to_bytes(4, "little") for shift in (16, 8, 0, 24))
    straight = files.bmp(np.concatenate([bgr, clear], 2).tobytes(), size, 32, 3, channels, 108)
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


HEIC = Path(__file__).parent / "heic"  # by pillow-heif, lossless but for one


def heic_cells() -> Iterator[Cell]:
    """Chromium has no HEIC. Of the file with EXIF its container turns the picture upside down."""
    shares, half = patches(COLOURS) / 255, patches(OPACITY) / 255
    p3, pq, hlg = (AVIF_DESCRIBED[name][0] for name in ("P3", "PQ", "HLG"))
    for name, kind, described, expected in (
        ("rgb", "RGB, 8 bits", NONE, seen(shares, NONE, None)),
        ("lossy", "RGB, 8 bits", NONE, seen(shares, NONE, None)),
        ("grey", "grey, 8 bits", NONE, seen(shares[..., :1], NONE, None)),
        ("10-bit", "RGB, 10 bits", NONE, seen(shares, NONE, None)),
        ("alpha", "RGB, 8 bits, alpha", NONE, seen(shares, NONE, half)),
        ("exif", "RGB, 8 bits", NONE, seen(shares, NONE, None, 3)),
        ("bt709", "RGB, 8 bits", Described("BT.709"), seen(shares, NONE, None)),
        ("icc", "RGB, 8 bits", PROFILES[1], seen(shares, PROFILES[1], None)),
        ("p3", "RGB, 8 bits", p3, seen(shares, p3, None)),
        ("pq", "RGB, 8 bits", pq, None),
        ("hlg", "RGB, 8 bits", hlg, None),
    ):
        content = (HEIC / f"{name}.heic").read_bytes()
        yield Cell(f"HEIC, {kind}", described.name, 1, content, expected, described.refused)
