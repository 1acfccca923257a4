"""Colours as video names them: coding-independent code points.

https://www.itu.int/rec/T-REC-H.273
"""

import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images.colour import Chromaticities, Space, Transfer, power, srgb_transfer

D65, C, DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
NTSC = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
PRIMARIES: dict[int, Chromaticities] = {
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),  # BT.709, sRGB
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, *NTSC),
    7: (*D65, *NTSC),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    10: (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0),
    11: (*DCI, *P3),
    12: (*D65, *P3),  # Display P3
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}


def smpte240(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 240."""
    return np.where(stored < 0.0913, stored / 4, ((stored + 0.1115) / 1.1115) ** (1 / 0.45))


def smpte428(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 428-1, of cinemas; brighter than white is possible."""
    return stored**2.6 * (52.37 / 48)


BT709_TRANSFERS = (1, 6, 11, 14, 15)  # of BT.709, BT.601 and BT.2020
TRANSFERS: dict[int, Transfer] = {
    # As screens show it (BT.1886), browsers too, and not the inverse of the camera's curve.
    **dict.fromkeys(BT709_TRANSFERS, power(2.4)),
    4: power(2.2),
    5: power(2.8),
    7: smpte240,
    8: power(1),
    13: srgb_transfer,
    17: smpte428,
}
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


def cicp_space(primaries: int, transfer: int, video: bool) -> Space | None:
    """None when the code points say nothing, or nothing that is known.

    video: of AVIF and HEIF, where BT.709's curve is written but sRGB's is meant, as browsers and
    phones have it. Raises InvalidImage for pictures brighter than white.
    """
    if transfer in HIGH_DYNAMIC_RANGE:
        name = HIGH_DYNAMIC_RANGE[transfer]
        raise InvalidImage(
            f"The image has a high dynamic range ({name}); save it with a standard one, as sRGB."
        )
    if video and transfer in BT709_TRANSFERS:
        transfer = 13
    if primaries not in PRIMARIES or transfer not in TRANSFERS:
        return None
    return Space(PRIMARIES[primaries], TRANSFERS[transfer])
