"""Small files after reports of pictures that came out wrong, each with what it is to look like."""

from pathlib import Path

import numpy as np
import pytest

from gateway.images.read import read_image
from tests.photographs import pixels_of

CASES = Path(__file__).parent / "cases"
FILES = sorted(path for path in CASES.iterdir() if not path.name.endswith(".expected.png"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_looks_as_expected(path: Path) -> None:
    expected = pixels_of(path.with_name(f"{path.stem}.expected.png").read_bytes())
    pixels = read_image(path.read_bytes(), 2**20)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 1
