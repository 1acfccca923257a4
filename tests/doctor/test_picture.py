"""One picture against diffusers'; tests/cli/test_doctor.py makes a real one."""

from pathlib import Path

import numpy as np
import pytest

from doctor import picture
from doctor.finding import State
from doctor.picture import compare, look_at_picture, psnr

PICTURE = np.full((4, 4, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("apart", "is_exact", "state"),
    [
        (1, True, State.GOOD),
        (2, True, State.WRONG),
        (2, False, State.GOOD),
        (8, False, State.GOOD),
        (9, False, State.WRONG),
    ],
)
def test_what_precision_allows(apart: int, is_exact: bool, state: State) -> None:
    found = compare(PICTURE, PICTURE + np.uint8(apart), "cpu", is_exact=is_exact)
    assert found.state == state
    assert f"are {apart} of 255 apart at most" in found.sentence


def test_another_size_is_wrong() -> None:
    assert compare(PICTURE, PICTURE[:2], "cpu", is_exact=True).state == State.WRONG


def test_without_a_model_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    found = look_at_picture(tmp_path, None, "cpu")
    assert found.state == State.UNCHECKED
    assert "--model" in found.sentence


def test_a_server_that_would_take_the_cpu_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "is_verified_on_cpu", lambda _: True)
    found = look_at_picture(tmp_path, tmp_path, "cuda:0")
    assert found.state == State.WRONG
    assert "onnxruntime-gpu" in found.sentence


def test_pictures_are_compared() -> None:
    assert psnr(PICTURE, PICTURE) == float("inf")
    assert psnr(PICTURE, PICTURE + np.uint8(1)) == pytest.approx(48.13, abs=0.01)
