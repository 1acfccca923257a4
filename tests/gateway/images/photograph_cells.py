"""Of the formats of cameras and of the web: JPEG, WebP, AVIF and HEIC."""

import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image, ImageCms

from tests.gateway.images import files
from tests.gateway.images.cells import (
    COLOURS,
    INKS,
    NONE,
    OPACITY,
    PATCH,
    PROFILES,
    RGB_ICC,
    Array,
    Cell,
    Described,
    orientations,
    patches,
    power,
    seen,
)
from tests.photographs import file_of

AVIF_DESCRIBED = {
    "none": (Described("none"), (1, 13)),
    "P3": (Described("cICP P3", primaries="P3"), (12, 13)),
    "2020": (Described("cICP BT.2020", primaries="2020"), (9, 14)),
    "PQ": (Described("cICP PQ", refused="(PQ)"), (9, 16)),
    "HLG": (Described("cICP HLG", refused="(HLG)"), (9, 18)),
}


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


def jpeg_cells(press: bytes) -> Iterator[Cell]:
    """press: a profile of CMYK."""
    grey, rgb = COLOURS[..., :1], COLOURS
    adobe = Described("EXIF R03", power(2.2), "Adobe")
    for name, values, described in (
        ("grey", grey, NONE),
        ("grey", grey, PROFILES[0]),
        ("grey", grey, adobe),
        ("RGB", rgb, NONE),
        ("RGB", rgb, PROFILES[1]),
        ("RGB", rgb, adobe),
    ):
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
        # Alpha is full-range in AVIF and was written so (64 for 64); Chromium stretches Pillow's as
        # if it began at 16, libavif and libheif do not.
        media_type = "" if alpha else "image/avif"
        yield Cell(
            kind, described.name, orientation, content, expected, described.refused, media_type
        )
    for bits in (10, 12):
        samples = patches(COLOURS).astype(np.uint16) * 257
        wide = pyvips.Image.new_from_array(samples).copy(interpretation="rgb16")
        content = bytes(
            wide.heifsave_buffer(
                compression="av1", bitdepth=bits, lossless=True, subsample_mode="off"
            )
        )
        expected = seen(samples / 65535, NONE, None)
        yield Cell(f"AVIF, RGB, {bits} bits", "none", 1, content, expected, "", "image/avif")
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
        ("bt709", "RGB, 8 bits", Described("cICP BT.709"), seen(shares, NONE, None)),
        ("icc", "RGB, 8 bits", PROFILES[1], seen(shares, PROFILES[1], None)),
        ("p3", "RGB, 8 bits", p3, seen(shares, p3, None)),
        ("pq", "RGB, 8 bits", pq, None),
        ("hlg", "RGB, 8 bits", hlg, None),
    ):
        content = (HEIC / f"{name}.heic").read_bytes()
        yield Cell(f"HEIC, {kind}", described.name, 1, content, expected, described.refused)
