"""One photograph in every kind of file that the gateway takes."""

import numpy as np
from PIL import Image

from tests.photographs import file_of, photograph

PHOTO = photograph("astronaut", 48, 32)
PIXELS = np.asarray(PHOTO)
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
    "TIFF": file_of(PHOTO, "TIFF"),
    **{
        f"TIFF, {name}": file_of(PHOTO, "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    },
}
