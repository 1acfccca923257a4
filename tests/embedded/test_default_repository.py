"""The repository that `make run` serves, made from nothing and then kept."""

from pathlib import Path

import pytest

from embedded import default_repository as default
from embedded.serve import ServeError


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def run(*arguments: str) -> None:
        made.append(arguments[1])
        if "--output" in arguments:
            Path(arguments[-1]).mkdir()

    monkeypatch.setattr(default, "CACHE", tmp_path)
    monkeypatch.setattr(default, "run", run)
    old = tmp_path / "repository-of-an-older-version"
    old.mkdir()
    said: list[str] = []
    repository = default.default_repository(said.append)
    assert repository.is_dir()
    assert not old.exists()
    assert default.default_repository(said.append) == repository
    assert made == ["tests.tiny_pipeline", "cli"]
    assert sum("its pictures are noise" in line for line in said) == 2


def test_its_name_changes_with_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default.fingerprint()
    assert default.fingerprint() == before
    monkeypatch.setattr(default, "version", lambda _: "9.9")
    assert default.fingerprint() != before


def test_a_failure_is_told() -> None:
    with pytest.raises(ServeError, match="could not be exported"):
        default.run("-c", "raise SystemExit(3)")
