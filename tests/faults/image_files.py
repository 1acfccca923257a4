"""One photograph in every kind of file that the gateway takes."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.gateway.images.files import bmp, tiff
from tests.photographs import file_of, photograph

PHOTO = photograph("astronaut", 48, 32)
PIXELS = np.asarray(PHOTO)


def bmp_of_runs() -> bytes:
    """Grey, every pixel a run of one."""
    grey = PIXELS[::-1, :, 0]
    runs = b"".join(b"".join(bytes([1, n]) for n in row) + b"\0\0" for row in grey) + b"\0\1"
    palette = b"".join(bytes([n, n, n, 0]) for n in range(256))
    return bmp(runs, (48, 32), 8, 1, palette)


FILES: dict[str, bytes] = {
    "PNG": file_of(PHOTO),
    "PNG, interlaced 16-bit grey": file_of(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)),
    "PNG, palette": file_of(PHOTO.convert("P"), transparency=0),
    "JPEG": file_of(PHOTO, "JPEG"),
    "JPEG, progressive": file_of(PHOTO, "JPEG", progressive=True),
    "JPEG, CMYK": file_of(PHOTO.convert("CMYK"), "JPEG"),
    "WEBP": file_of(PHOTO, "WEBP"),
    "WEBP, lossless": file_of(PHOTO.convert("RGBA"), "WEBP", lossless=True),
    "WEBP, animated": file_of(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(9)]),
    "GIF": file_of(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(9)]),
    "BMP": file_of(PHOTO, "BMP"),
    "BMP, run lengths": bmp_of_runs(),
    "AVIF": file_of(PHOTO, "AVIF"),
    "HEIC": (Path(__file__).parents[1] / "gateway" / "images" / "heic" / "alpha.heic").read_bytes(),
    "TIFF, 12-bit": tiff(PIXELS.astype(np.uint16) * 16, 12, 2),
    "TIFF, 16-bit in planes": tiff(PIXELS.astype(np.uint16) * 257, 16, 2, planes=True),
    "TIFF": file_of(PHOTO, "TIFF"),
    **{
        f"TIFF, {name}": file_of(PHOTO, "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    },
}
