"""Every kind of picture crossed with every description of its colours, and what arithmetic says.

The arithmetic here is its own: float64, matrices as published, nothing of the gateway's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.gateway.images import files

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


GREY_ICC, RGB_ICC = (files.icc_profile(space, 1.8) for space in (b"GRAY", b"RGB "))
PROFILES = [
    Described("ICC, grey", power(1.8), icc=GREY_ICC),
    Described("ICC, RGB", power(1.8), "P3", icc=RGB_ICC),
]
NONE = Described("none")


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
    return np.asarray(values.repeat(PATCH, 0).repeat(PATCH, 1))


def stored(values: Array, bits: int) -> Array:
    """0 to 255 -> whole numbers of so many bits."""
    return np.asarray((values * (2**bits - 1) / 255).round(), np.int64)


def seen(shares: Array, described: Described, opacity: Array | None, orientation: int = 1) -> Array:
    """shares: stored numbers of [0, 1], 1 or 3 channels -> what a screen shows, 0 to 255."""
    light = described.transfer(np.asarray(shares, np.float64))
    if light.shape[-1] == 3:
        light = light @ TO_SRGB[described.primaries].T
    light = light.clip(0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return composited(np.broadcast_to(shown, (*shown.shape[:2], 3)), opacity, orientation)


def composited(shown: Array, opacity: Array | None, orientation: int) -> Array:
    """On white, turned as EXIF's orientation says, 0 to 255."""
    if opacity is not None:
        shown = shown * opacity[..., None] + 1 - opacity[..., None]
    turned = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown, -1),
        7: shown[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(shown),
    }[orientation]
    return np.asarray(turned * 255)


def orientations(described: Described) -> tuple[int, ...]:
    return tuple(range(1, 9)) if described.name == "none" else (1, 6)
