"""Seconds that something of a size takes, learnt from what it took."""

import math

WEIGHT = 0.3  # of a new measurement beside those before


class Costs:
    """By size, in classes that double; one that was not seen is in proportion to the nearest.

    Sizes are latent pixels.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}  # of one pixel, by class

    @property
    def are_known(self) -> bool:
        return bool(self._seconds)

    def of(self, pixels: int) -> float:
        """Seconds; before the first measurement, in proportion to the pixels."""
        if not self._seconds:
            return float(pixels)
        wanted = _class_of(pixels)
        nearest = min(self._seconds, key=lambda known: abs(known - wanted))
        return pixels * self._seconds[nearest]

    def learn(self, pixels: int, seconds: float) -> None:
        """It took so long this time."""
        size, measured = _class_of(pixels), seconds / pixels
        before = self._seconds.get(size, measured)
        self._seconds[size] = before + WEIGHT * (measured - before)


def _class_of(pixels: int) -> int:
    return round(math.log2(pixels))
