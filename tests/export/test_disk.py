"""Too little room is told before anything is written."""

import shutil
from pathlib import Path

import pytest

from export.disk import refuse_too_little_room
from export.errors import ExportError


def test_what_fits_passes_and_what_does_not_is_told(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    refuse_too_little_room([(tmp_path / "not" / "there", free // 2, "--output")])
    with pytest.raises(ExportError, match=rf"{tmp_path}, which has .* free.*place by --output\."):
        refuse_too_little_room([(tmp_path / "not" / "there", 2 * free, "--output")])


def test_what_goes_to_one_disk_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 5_000_000_000}))
    needs = [(tmp_path, 3_000_000_000, "--output"), (tmp_path / "cache", 1_900_000_000, "HF_HOME")]
    refuse_too_little_room(needs)
    with pytest.raises(ExportError, match=r"About 6\.0 GB .* 5\.0 GB free.*--output or HF_HOME"):
        refuse_too_little_room([*needs, (tmp_path, 1_100_000_000, "--output")])
