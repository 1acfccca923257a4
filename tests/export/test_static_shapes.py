"""The shapes of reshapes, as constants where that can be."""

from typing import Any

import pytest

from export.static_shapes import static_shape


@pytest.mark.parametrize(
    ("given", "made", "shape"),
    [
        (["b", "n", 32], ["b", "n", 4, 8], [0, 0, 4, 8]),  # heads apart
        (["b", "n", 4, 8], ["b", "n", 32], [0, 0, 32]),  # and together
        (["b", "h", "w", 32], ["b", "h*w", 32], [0, -1, 32]),
        (["b", 32, "h", "w"], ["b", 32, "h*w"], [0, 32, -1]),
        (["b", 32, "n"], ["b", 32, "h", "w"], None),  # nobody knows h
        (["b", 2, 77, 12], [None, None, None], None),
        ([None, 4], [None, 2, 2], [-1, 2, 2]),  # two that have no name may differ
        ([2, 3], [6], [6]),
    ],
)
def test_free_sizes_are_copied_or_what_is_left(
    given: list[Any], made: list[Any], shape: list[int] | None
) -> None:
    assert static_shape(given, made) == shape
