"""What libvips does for us: samples of any depth from PNG, TIFF and AVIF, and ICC profiles."""

from typing import Any, Literal

import numpy as np
import pyvips
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images.cost import DAMAGED, Bound

# Nothing is asked for twice, and no picture of a caller is to stay behind.
pyvips.cache_set_max(0)
MEANINGS = {1: ("b-w", "grey16"), 3: ("srgb", "rgb16"), 4: ("cmyk", "cmyk")}


def load(
    kind: Literal["png", "tiff", "heif"], content: bytes, bound: Bound | None = None, **options: Any
) -> NDArray[Any]:
    """[H, W, C] of the file's own dtype; lets go of the GIL. bound: called before decoding.

    Raises InvalidImage when the file is broken, and what `bound` raises.
    """
    try:
        loader = getattr(pyvips.Image, f"{kind}load_buffer")
        image = loader(content, access="sequential", fail_on="error", **options)
        if bound:
            bound(image.width, image.height)
        samples = np.asarray(image.numpy()).reshape(image.height, image.width, image.bands)
    except pyvips.Error as error:
        raise InvalidImage(DAMAGED) from error
    return samples


def to_srgb(colour: NDArray[Any], icc: bytes) -> NDArray[np.uint8]:
    """uint8 or uint16 [H, W, 1, 3 or 4] -> uint8 [H, W, 3], relative colorimetric as browsers."""
    height, width, channels = colour.shape
    wide = colour.dtype == np.uint16
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(colour).data, width, height, channels, "ushort" if wide else "uchar"
    ).copy(interpretation=MEANINGS[channels][wide])
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    converted = image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
    return np.asarray(converted.numpy(), np.uint8)


def reduced(
    colour: NDArray[Any], alpha: NDArray[Any] | None, width: int, height: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """uint8 or uint16 [H, W, C] and [H, W] -> smaller, by Lanczos' filter.

    Colours count as much as they are seen. A few rows at a time are in memory as numbers.
    """
    samples = colour if alpha is None else np.dstack([colour, alpha])
    rows, columns, channels = samples.shape
    kind, most = ("ushort", 65535) if samples.dtype == np.uint16 else ("uchar", 255)
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(samples).data, columns, rows, channels, kind
    )
    if alpha is not None:
        image = image.premultiply(max_alpha=most)
    image = image.resize(width / columns, vscale=height / rows, kernel="lanczos3")
    if alpha is not None:
        image = image.unpremultiply(max_alpha=most)
    smaller = np.asarray(image.rint().cast(kind).numpy()).reshape(height, width, channels)
    if alpha is None:
        return smaller, None
    return smaller[..., :-1], smaller[..., -1]
