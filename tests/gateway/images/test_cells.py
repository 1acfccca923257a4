"""Every kind of picture with every description: right within 2 of 255, or refused in true words."""

import pytest

from tests.gateway.images.table import (
    DOCUMENT,
    HEADING,
    TOLERANCE,
    Result,
    all_read,
    is_right,
    table,
)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return all_read()


def test_every_cell_is_what_arithmetic_says_or_refused(results: list[Result]) -> None:
    wrong = [
        f"{result.cell.name}: {result.difference()}, {str(result.pixels)[:100]}"
        for result in results
        if not is_right(result)
    ]
    assert len(results) > 2000
    assert not wrong


def test_chromium_draws_the_same(results: list[Result]) -> None:
    compared = [result for result in results if result.is_compared()]
    wrong = [
        f"{result.cell.name}: {result.difference_from_chromium()}"
        for result in compared
        if result.difference_from_chromium() > TOLERANCE
    ]
    assert len(compared) > 500
    assert not wrong


def outline(text: str) -> list[list[str]]:
    """Rows without their differences, which a decoder's next version may change by tenths."""
    rows = [[cell.strip() for cell in row.split("|")] for row in text.splitlines() if "|" in row]
    return [
        [
            cell if place < 2 or "refused" in cell else str(bool(cell))
            for place, cell in enumerate(row)
        ]
        for row in rows
    ]


def test_the_documented_table_is_of_these_results(results: list[Result]) -> None:
    written = DOCUMENT.read_text().partition(HEADING)[2]
    again = "write it anew: python -m tests.gateway.images.table"
    assert outline(written) == outline(table(results)), again
