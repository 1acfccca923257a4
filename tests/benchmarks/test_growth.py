"""The laws of growth."""

import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.growth import Case, Measured, Result, Series, fitted, report
from stages import tiles


@pytest.mark.parametrize("side", [8, 61, 128, 129, 240, 256, 512, 1024])
def test_tiles_are_those_that_are_worked_on(side: int) -> None:
    padded = side + -side % 8
    assert Case(side, 1).tiles == len(tiles.spans(padded, tiles.MAX_TILE)) ** 2


def test_the_law_is_the_readmes() -> None:
    assert [Case(side, 1).tiles for side in (128, 256, 512, 1024)] == [1, 4, 16, 49]
    assert [Case(side, 1).work for side in (256, 512)] == [4 * 136**2, 16 * 144**2]
    assert Case(256, 20, 2).rows == 2 * 20 * 4
    assert Case(60, 3).work == 3 * 64 * 64


def test_a_line_is_fitted() -> None:
    assert fitted([1, 2, 3], [5.0, 7.0, 9.0], [1, 1, 1]) == pytest.approx([5, 7, 9])
    assert fitted([2, 2], [1.0, 3.0], [1, 1]) == pytest.approx([2, 2])


def test_the_plot_lies_where_the_section_says(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    series = Series("steps", "steps", [Case(64, 1), Case(64, 5)], lambda case: case.steps)
    measured = [Measured(case, 0.1 * case.steps, 0, 2**20, case.rows, 1) for case in series.cases]
    text = report([Result(series, measured, 0)], tmp_path / "plots")
    link = re.search(r"\]\((.*)\)", text)
    assert link is not None
    with Image.open(tmp_path / link[1]) as plot:
        assert plot.format == "PNG"
