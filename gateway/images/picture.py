"""A picture as its file describes it, before its numbers are turned into sRGB."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.images.colour import Description

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Picture:
    """Samples of a known meaning: uint8 of 0 to 255, or uint16 of 0 to 65535.

    What is stored in 10 to 14 bits are the upper of 16: of its white, 65472 and more, not a quarter
    of one of 255 is missing.
    colour: [H, W, C], C 1: grey, 0 is black; 3: RGB; 4: CMYK, 0 is no ink. Not premultiplied.
    alpha: [H, W] of the same dtype, 0 is clear; None: opaque.
    descriptions: of the colours, in the order in which they count; none: sRGB.
    orientation: of EXIF, 1 to 8.
    """

    colour: Samples
    alpha: Samples | None = None
    descriptions: list[Description] = field(default_factory=list)
    orientation: int = 1


def split(samples: NDArray[Any], colours: int, alpha: int | None) -> tuple[Any, Any]:
    """[H, W, C] -> the first `colours` channels, and the channel of that number or None."""
    return samples[..., :colours], None if alpha is None else samples[..., alpha]


def unpremultiplied(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours that were multiplied by their alpha, as they were before; black where it is 0."""
    most = np.iinfo(colour.dtype).max
    factor = most / np.maximum(alpha, 1).astype(np.float32)
    restored = (colour * factor[..., None]).round().clip(0, most).astype(colour.dtype)
    return np.where(alpha[..., None] == 0, 0, restored).astype(colour.dtype)


def to_8_bits(samples: Samples) -> NDArray[np.uint8]:
    """The same share of the range, rounded."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """[H, W, ...] turned and mirrored as EXIF's orientation says."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
