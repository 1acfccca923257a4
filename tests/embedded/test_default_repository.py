"""The repository that `make run` serves, exported once and then kept."""

from pathlib import Path

import pytest

from embedded import default_repository as default
from gateway.serve import ServeError


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def export(repository: Path) -> None:
        made.append(repository)
        repository.mkdir()

    monkeypatch.setattr(default, "CACHE", tmp_path)
    monkeypatch.setattr(default, "export_demo_model", export)
    old = tmp_path / "repository-of-an-older-version"
    old.mkdir()
    said: list[str] = []
    repository = default.default_repository(said.append)
    assert default.default_repository(said.append) == repository
    assert made == [repository]
    assert list(tmp_path.iterdir()) == [repository]
    assert sum("once" in line for line in said) == 1
    assert sum("small demo model" in line for line in said) == 2


def test_its_name_changes_with_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default.fingerprint()
    assert default.fingerprint() == before
    monkeypatch.setattr(default, "tool_versions", lambda: {"torch": "9.9"})
    assert default.fingerprint() != before


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "CHECKPOINT", tmp_path)
    with pytest.raises(ServeError, match="could not be exported"):
        default.export_demo_model(tmp_path / "out")
