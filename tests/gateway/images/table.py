"""`python -m tests.gateway.images.table`: docs/images.md, what became of every cell."""

from collections.abc import Iterator
from dataclasses import dataclass
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


def read_and_drawn() -> list[Result]:
    """Those cells that Chromium draws, with what it draws."""
    compared = [cell for cell in all_cells() if cell.media_type and cell.expected is not None]
    pictures = drawn([(cell.media_type, cell.content) for cell in compared])
    return [
        Result(cell, read(cell).pixels, picture)
        for cell, picture in zip(compared, pictures, strict=True)
    ]


def is_right(result: Result) -> bool:
    """Within TOLERANCE of arithmetic, or refused with the reason that is the true one."""
    if result.cell.expected is None:
        return isinstance(result.pixels, str) and result.cell.refused in result.pixels
    return result.difference() <= TOLERANCE


def table(results: list[Result], compared: list[Result]) -> str:
    """A row for each kind of picture and description, in the order of the cells."""
    by_chromium: dict[tuple[str, str], float] = {}
    for result in compared:
        key = (result.cell.kind, result.cell.described)
        by_chromium[key] = max(by_chromium.get(key, 0), result.difference_from_chromium())
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        rows.setdefault((result.cell.kind, result.cell.described), []).append(result)
    lines = ["| file | colours described by | files | from arithmetic | from Chromium |"]
    lines.append("|---|---|---|---|---|")
    for key, of_row in rows.items():
        read_ones = [result.difference() for result in of_row if result.cell.expected is not None]
        refused = len(of_row) - len(read_ones)
        answer = f"{max(read_ones):.1f}" if read_ones else "refused"
        if read_ones and refused:
            answer += f", {refused} refused"
        chromium = f"{by_chromium[key]:.0f}" if key in by_chromium else ""
        lines.append(f"| {key[0]} | {key[1]} | {len(of_row)} | {answer} | {chromium} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = DOCUMENT.read_text()
    before = text[: text.index(HEADING) + len(HEADING)]
    DOCUMENT.write_text(
        f"{before}\n{table([read(cell) for cell in all_cells()], read_and_drawn())}"
    )
