"""`python -m tests.gateway.images.table`: docs/images.md, what became of every cell."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from gateway.errors import InvalidImage
from gateway.images.read import read_image
from tests.gateway.images import photograph_cells, plain_cells, png_cells, tiff_cells
from tests.gateway.images.cells import Cell
from tests.gateway.images.chromium import drawn

DOCUMENT = Path(__file__).parents[3] / "docs" / "images.md"
HEADING = "## What comes out\n"
TOLERANCE = 2  # of 255
LIMIT = 2**20  # pixels


@dataclass(frozen=True)
class Result:
    """pixels: what the gateway makes of the cell, or the sentence of its refusal."""

    cell: Cell
    pixels: NDArray[np.uint8] | str
    drawn: NDArray[np.uint8] | None = None

    def is_compared(self) -> bool:
        """Whether Chromium is asked as well."""
        return bool(self.cell.media_type) and self.cell.expected is not None

    def difference(self) -> float:
        """From arithmetic, of 255; infinite where a picture is none or has another shape."""
        return _difference(self.pixels, self.cell.expected)

    def difference_from_chromium(self) -> float:
        return _difference(self.pixels, self.drawn)


def _difference(pixels: Any, expected: Any) -> float:
    if isinstance(pixels, str) or expected is None or pixels.shape != expected.shape:
        return float("inf")
    return float(np.abs(pixels - expected.astype(float)).max())


def all_cells() -> Iterator[Cell]:
    press = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    yield from png_cells.png_cells()
    yield from tiff_cells.tiff_cells()
    yield from photograph_cells.jpeg_cells(press)
    yield from photograph_cells.webp_cells()
    yield from photograph_cells.avif_cells()
    yield from photograph_cells.heic_cells()
    yield from plain_cells.plain_cells()


def read(cell: Cell) -> Result:
    try:
        return Result(cell, read_image(cell.content, LIMIT))
    except InvalidImage as error:
        return Result(cell, str(error))


def all_read() -> list[Result]:
    """Every cell, with what Chromium draws where it has the format."""
    results = [read(cell) for cell in all_cells()]
    pictures = iter(
        drawn([(r.cell.media_type, r.cell.content) for r in results if r.is_compared()])
    )
    return [replace(r, drawn=next(pictures)) if r.is_compared() else r for r in results]


def is_right(result: Result) -> bool:
    """Within TOLERANCE of arithmetic, or refused with the reason that is the true one."""
    if result.cell.expected is None:
        return isinstance(result.pixels, str) and result.cell.refused in result.pixels
    return result.difference() <= TOLERANCE


def worst(of_cell: list[Result]) -> str:
    """The largest difference from arithmetic and from Chromium, or the refusal."""
    if all(result.cell.expected is None for result in of_cell):
        return "refused"
    text = f"{max(r.difference() for r in of_cell if r.cell.expected is not None):.1f}"
    drawn_ones = [r.difference_from_chromium() for r in of_cell if r.drawn is not None]
    return f"{text} / {max(drawn_ones):.0f}" if drawn_ones else text


def table(results: list[Result]) -> str:
    """A table for each format: a row for each kind of picture, a column for each description."""
    formats: dict[str, dict[str, dict[str, list[Result]]]] = {}
    for result in results:
        form, _, kind = result.cell.kind.partition(", ")
        column = result.cell.described.partition(", grey")[0].partition(", RGB")[0]
        row = formats.setdefault(form, {}).setdefault(kind, {})
        row.setdefault(column, []).append(result)
    lines = []
    for form, rows in formats.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        lines += ["", f"| {form} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for kind, row in rows.items():
            cells = [worst(row[column]) if column in row else "" for column in columns]
            lines.append(f"| {kind.replace(' 1 bits', ' 1 bit')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = DOCUMENT.read_text()
    before = text[: text.index(HEADING) + len(HEADING)]
    DOCUMENT.write_text(before + table(all_read()))
