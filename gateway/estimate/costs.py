"""Seconds that something of a size takes, learnt from what it took."""

import math

TRUSTED_S = 600.0  # after which a measurement refuses nobody any more: another is due
WEIGHT = 0.3  # of a new measurement beside those before


class Costs:
    """By size, in classes that double; one that was not seen is in proportion to the nearest.

    Sizes are latent pixels.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}  # of one pixel, by class
        # Of one pixel, at least, and when that was found.
        self._bounds: dict[int, tuple[float, float]] = {}

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

    def at_least(self, pixels: int, now: float) -> float:
        """Seconds that it will not fall short of; 0 where nothing lately was as large or larger.

        A smaller one bounds it by its whole time alone, since a part of that is of no pixel's.
        now: of the clock of `learn`, seconds.
        """
        return max(
            (
                seconds * min(pixels, 2**size)
                for size, (seconds, found) in self._bounds.items()
                if now - found < TRUSTED_S
            ),
            default=0.0,
        )

    def learn_at_least(self, pixels: int, seconds: float, now: float) -> None:
        """It took longer than that and was given up."""
        size = _class_of(pixels)
        known, found = self._bounds.get(size, (0.0, now))
        if seconds / pixels > known or now - found >= TRUSTED_S:
            self._bounds[size] = seconds / pixels, now

    def learn(self, pixels: int, seconds: float, now: float) -> None:
        """It took so long this time. now: of some clock, seconds.

        The first of a class bounds nothing: a machine that has never done it takes longer.
        """
        size, measured = _class_of(pixels), seconds / pixels
        before = self._seconds.get(size)
        if before is None:
            self._seconds[size] = measured
            return
        self._seconds[size] = before + WEIGHT * (measured - before)
        self._bounds[size] = min(measured, before), now


def _class_of(pixels: int) -> int:
    return round(math.log2(pixels))
