from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stages.tiles import MAX_TILE, OVERLAP, checked_max_tile, refuse_past_plan, spans


@pytest.mark.parametrize("total", [8, MAX_TILE - 8, MAX_TILE])
def test_what_fits_is_one_span_that_changes_nothing(total: int) -> None:
    (span,) = spans(total, MAX_TILE, scale=4)
    assert (span.start, span.length) == (0, total)
    assert np.array_equal(span.weights, np.ones(4 * total, np.float32))


@pytest.mark.parametrize("maximum", [64, 128, MAX_TILE, 512])
@pytest.mark.parametrize("scale", [1, 4])
def test_spans_cover_all_with_one_length_and_their_weights_add_up(maximum: int, scale: int) -> None:
    for total in range(maximum + 8, 1025, 8):
        check_cover(total, maximum, scale)


def check_cover(total: int, maximum: int, scale: int) -> None:
    covering = spans(total, maximum, scale)
    [length] = {span.length for span in covering}
    assert length <= maximum
    assert length % 8 == 0
    assert all(span.start % 8 == 0 for span in covering)
    assert covering[0].start == 0
    assert covering[-1].start + length == total
    assert all(b.start - a.start <= length - OVERLAP for a, b in pairwise(covering))
    sums = np.zeros(total * scale)
    for span in covering:
        sums[span.pixels] += span.weights
    assert np.abs(sums - 1).max() < 1e-6


@pytest.mark.parametrize("total", [136, 512, 1000, 1024])
def test_there_are_as_many_as_the_documented_formula_says(total: int) -> None:
    assert len(spans(total, 128)) == -(-(total - OVERLAP) // (128 - OVERLAP))


def test_tiles_are_no_larger_than_it_takes() -> None:
    """Twice the side is 4 to 5 times the pixels that the UNet sees, not 9 as of tiles of 128."""
    sides = (128, 256, 512, 1024)
    counts = [len(spans(side, MAX_TILE)) for side in sides]
    assert counts == [1, 2, 4, 7]
    assert [spans(side, MAX_TILE)[0].length for side in sides] == [128, 136, 144, 160]
    assert [len(spans(side, 512)) for side in sides] == [1, 1, 1, 3]


@pytest.mark.parametrize("value", ["", "0", "63", "100", "1032", "auto", "-64"])
def test_a_maximum_that_cannot_be_is_named(value: str) -> None:
    assert checked_max_tile("MAX_TILE", "256") == 256
    with pytest.raises(ValueError, match=f"MAX_TILE={value}: it must be a multiple of 8 from 64"):
        checked_max_tile("MAX_TILE", value)


def test_a_step_between_tiles_becomes_a_smooth_ramp() -> None:
    side = 2 * MAX_TILE - OVERLAP
    first, second = spans(side, MAX_TILE, scale=4)
    values = np.zeros(4 * side)
    values[second.pixels] += second.weights
    assert values[first.pixels][0] == 0
    assert values[-1] == 1
    assert (np.diff(values) >= 0).all()
    assert np.diff(values).max() < 2 / (4 * OVERLAP)


def test_a_tile_past_the_profiles_of_a_plan_is_refused(tmp_path: Path) -> None:
    refuse_past_plan("MAX_TILE", 512, tmp_path)
    (tmp_path / "model.plan").touch()
    refuse_past_plan("MAX_TILE", MAX_TILE, tmp_path)
    with pytest.raises(ValueError, match=f"MAX_TILE=512: the TensorRT plan .* most {MAX_TILE}"):
        refuse_past_plan("MAX_TILE", 512, tmp_path)
