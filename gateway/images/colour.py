"""Colours as a file describes them, turned into sRGB."""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from gateway.errors import InvalidImage
from gateway.images import vips

logger = logging.getLogger("gateway")

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # white, R, G, B
Transfer = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # stored 0 to 1 -> light 0 to 1
MODES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}  # Pillow's
CHANNELS = {"L": 1, "RGB": 3, "CMYK": 4}
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC  # as browsers have it
# Matrix of https://www.iso.org/standard/55357.html (Bradford), which ICC profiles use as well.
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def power(exponent: float) -> Transfer:
    """Light is the stored number to this power."""
    return lambda stored: stored**exponent


def srgb_transfer(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1."""
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Profile:
    """An ICC profile."""

    icc: bytes

    def fits(self, channels: int) -> bool:
        """Whether it can be read and is for so many channels; if not it is left aside."""
        mode = MODES.get(self.icc[16:20])
        if mode is None or CHANNELS[mode] != channels:
            return False
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(self.icc))
            # libvips would convert without it, and not tell.
            ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT)
        except (OSError, ImageCms.PyCMSError):
            return False
        return True


@dataclass(frozen=True)
class Space:
    """RGB of these primaries, or grey, whose numbers become light by `transfer`."""

    chromaticities: Chromaticities
    transfer: Transfer

    def fits(self, channels: int) -> bool:
        """It is said of grey and of RGB, and its primaries must span colours."""
        return channels in (1, 3) and self.matrix() is not None

    def matrix(self) -> NDArray[np.float64] | None:
        """Light in this space -> light in sRGB's primaries, its white kept white."""
        return _matrix(self.chromaticities)


SRGB = Space((0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06), srgb_transfer)
ADOBE_RGB = Space((0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), power(563 / 256))
Description = Profile | Space


def _to_xyz(chromaticities: Chromaticities) -> NDArray[np.float64] | None:
    """RGB -> XYZ with a white of Y = 1."""
    white, *primaries = np.array(chromaticities).reshape(4, 2)
    columns = np.array([[x, y, 1 - x - y] for x, y in primaries]).T
    if white[1] <= 0 or abs(np.linalg.det(columns)) < 1e-6:
        return None
    return np.asarray(columns * np.linalg.solve(columns, _white(white)), np.float64)


def _white(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([xy[0] / xy[1], 1, (1 - xy[0] - xy[1]) / xy[1]])


@lru_cache
def _matrix(chromaticities: Chromaticities) -> NDArray[np.float64] | None:
    to_xyz, srgb_to_xyz = _to_xyz(chromaticities), _to_xyz(SRGB.chromaticities)
    if to_xyz is None or srgb_to_xyz is None:
        return None
    here, there = (BRADFORD @ xyz.sum(axis=1) for xyz in (to_xyz, srgb_to_xyz))
    adapt = np.linalg.inv(BRADFORD) @ np.diag(there / here) @ BRADFORD
    return np.asarray(np.linalg.inv(srgb_to_xyz) @ adapt @ to_xyz, np.float64)


@lru_cache
def _encoding() -> NDArray[np.uint8]:
    """Light in 65536 steps -> sRGB's number."""
    light = np.arange(65536) / 65535
    stored = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (stored * 255).round().astype(np.uint8)


def to_srgb(colour: NDArray[Any], descriptions: list[Description]) -> NDArray[np.uint8]:
    """[H, W, 1, 3 or 4] of grey, RGB or CMYK -> uint8 [H, W, 3]; the first description that fits.

    Colours outside of sRGB are cut off at its edge. Without a description grey and RGB are sRGB's,
    and inks take away light, as browsers have it. Raises InvalidImage for no such picture.
    """
    channels = colour.shape[2]
    for description in descriptions:
        if not description.fits(channels):
            logger.info("a description of the colours was left aside: it does not fit them")
        elif isinstance(description, Profile):
            return vips.to_srgb(colour, description.icc)
        elif description != SRGB:
            return _from_space(colour, description)
        else:
            break
    most = np.iinfo(colour.dtype).max
    if channels == 4:
        light = (most - colour[..., :3]).astype(np.float32) * (most - colour[..., 3:])
        return (light * np.float32(255 / most**2)).round().astype(np.uint8)
    rgb = (colour.astype(np.uint32) * 255 + most // 2) // most
    return np.broadcast_to(rgb.astype(np.uint8), (*colour.shape[:2], 3))


def _from_space(colour: NDArray[Any], space: Space) -> NDArray[np.uint8]:
    most = np.iinfo(colour.dtype).max
    light = space.transfer(np.arange(most + 1) / most).astype(np.float32)[colour]
    if colour.shape[2] == 3:
        matrix = space.matrix()
        assert matrix is not None  # it fits
        light = light @ matrix.T.astype(np.float32)
    steps = (light.clip(0, 1) * np.float32(65535)).round().astype(np.uint16)
    return np.broadcast_to(_encoding()[steps], (*colour.shape[:2], 3))


def gamma_space(gamma: float, chromaticities: Chromaticities | None) -> Space:
    """PNG's gAMA, the power of light that was stored, and cHRM.

    Raises InvalidImage for a gamma that would make every picture black or white.
    """
    if not 0.1 <= gamma <= 10:
        raise InvalidImage(f"The image's gAMA is {gamma:g}, which no picture has; save it anew.")
    # Browsers take every gamma near sRGB's for sRGB when nothing else is said.
    if chromaticities is None and abs(gamma * 2.2 - 1) < 0.05:
        return SRGB
    return Space(chromaticities or SRGB.chromaticities, power(1 / gamma))
