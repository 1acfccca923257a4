"""Every kind of picture with every description: right within 2 of 255, or refused in true words."""

import pytest

from tests.gateway.images.table import (
    DOCUMENT,
    HEADING,
    TOLERANCE,
    Result,
    all_cells,
    is_right,
    read,
    read_and_drawn,
    table,
)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [read(cell) for cell in all_cells()]


@pytest.fixture(scope="module")
def compared() -> list[Result]:
    return read_and_drawn()


def test_every_cell_is_what_arithmetic_says_or_refused(results: list[Result]) -> None:
    wrong = [
        (
            result.cell.name,
            result.difference(),
            result.pixels if isinstance(result.pixels, str) else "",
        )
        for result in results
        if not is_right(result)
    ]
    assert len(results) > 2000
    assert not wrong


def test_chromium_draws_the_same(compared: list[Result]) -> None:
    wrong = [
        (result.cell.name, result.difference_from_chromium())
        for result in compared
        if result.difference_from_chromium() > TOLERANCE
    ]
    assert len(compared) > 500
    assert not wrong


def test_the_documented_table_is_of_these_results(
    results: list[Result], compared: list[Result]
) -> None:
    """Its kinds and refusals; the tenths may differ with a decoder's version."""

    def kinds(text: str) -> list[tuple[str, ...]]:
        cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines()]
        return [(*row[:3], "refused" * ("refused" in row[3])) for row in cells if len(row) == 5]

    written = DOCUMENT.read_text().partition(HEADING)[2]
    again = "write it anew: python -m tests.gateway.images.table"
    assert kinds(written) == kinds(table(results, compared)), again
