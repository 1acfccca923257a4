"""The largest image of a shape that a server takes."""

import pytest

from gateway.errors import ImageTooLarge, InvalidRequest
from gateway.estimate.fit import check_work, fitted
from gateway.estimate.work import Work
from gateway.images.write import OutputFormat
from gateway.settings import Settings
from gateway.triton.served_model import DenoiseLimits
from stages import errors

LIMITS = DenoiseLimits(8, (77, 1024))


def work(width: int, height: int) -> Work:
    return Work(width, height, 20, 9.0)


@pytest.mark.parametrize(
    ("size", "output_format", "settings", "binds"),
    [
        ((4000, 3000), "png", {}, ImageTooLarge),
        ((3000, 4000), "png", {"memory_budget_mb": 100}, errors.ImageTooLarge),
        ((9000, 90), "webp", {}, InvalidRequest),
        ((25_000_000, 1), "png", {}, ImageTooLarge),
    ],
)
def test_it_is_the_largest_that_is_taken(
    size: tuple[int, int], output_format: OutputFormat, settings: dict[str, int], binds: type
) -> None:
    known = Settings.from_environment(**settings)
    width, height = fitted(work(*size), output_format, known, LIMITS)
    check_work(work(width, height), output_format, known, LIMITS)
    assert abs(width * size[1] - height * size[0]) <= max(size)  # the shape, to half a pixel
    larger = work(*(max(1, round(side * (1 + 9 / max(width, height)))) for side in (width, height)))
    with pytest.raises(binds):
        check_work(larger, output_format, known, LIMITS)


def test_what_is_taken_stays_as_it_is() -> None:
    assert fitted(work(641, 479), "png", Settings.from_environment(), LIMITS) == (641, 479)
