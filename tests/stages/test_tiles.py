from itertools import pairwise

import numpy as np
import pytest

from stages.tiles import OVERLAP, TILE, spans


@pytest.mark.parametrize("total", [8, TILE - 8, TILE])
def test_what_fits_is_one_span_that_changes_nothing(total: int) -> None:
    (span,) = spans(total, scale=4)
    assert (span.start, span.length) == (0, total)
    assert np.array_equal(span.weights, np.ones(4 * total, np.float32))


@pytest.mark.parametrize("total", [TILE + 8, 2 * TILE - OVERLAP, 2 * TILE - OVERLAP + 8, 1024])
@pytest.mark.parametrize("scale", [1, 4])
def test_spans_cover_all_with_one_length_and_their_weights_add_up(total: int, scale: int) -> None:
    covering = spans(total, scale)
    assert {span.length for span in covering} == {TILE}
    assert covering[0].start == 0
    assert covering[-1].start + TILE == total
    assert all(b.start - a.start <= TILE - OVERLAP for a, b in pairwise(covering))
    sums = np.zeros(total * scale)
    for span in covering:
        sums[span.pixels] += span.weights
    assert np.abs(sums - 1).max() < 1e-6


@pytest.mark.parametrize("total", [136, 512, 1000, 1024])
def test_there_are_as_many_as_the_documented_formula_says(total: int) -> None:
    assert len(spans(total)) == -(-(total - OVERLAP) // (TILE - OVERLAP))


def test_a_step_between_tiles_becomes_a_smooth_ramp() -> None:
    first, second = spans(2 * TILE - OVERLAP, scale=4)
    values = np.zeros(4 * (2 * TILE - OVERLAP))
    values[second.pixels] += second.weights
    assert values[first.pixels][0] == 0
    assert values[-1] == 1
    assert (np.diff(values) >= 0).all()
    assert np.diff(values).max() < 2 / (4 * OVERLAP)
