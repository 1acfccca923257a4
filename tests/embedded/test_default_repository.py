"""The repository that `make run` serves, exported once and then kept."""

import time
from concurrent.futures import ThreadPoolExecutor
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
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [repository]
    assert sum("once" in line for line in said) == 1
    assert sum("small demo model" in line for line in said) == 2


def test_servers_that_start_at_once_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def export(repository: Path) -> None:
        made.append(repository)
        time.sleep(0.2)  # long enough for the others to look
        repository.mkdir()

    monkeypatch.setattr(default, "CACHE", tmp_path)
    monkeypatch.setattr(default, "export_demo_model", export)
    with ThreadPoolExecutor(3) as pool:
        [repository] = set(pool.map(default.default_repository, [lambda _: None] * 3))
    assert made == [repository]


def test_its_name_changes_with_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default.fingerprint()
    assert default.fingerprint() == before
    monkeypatch.setattr(default, "tool_versions", lambda: {"torch": "9.9"})
    assert default.fingerprint() != before


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "CHECKPOINT", tmp_path)
    with pytest.raises(ServeError, match="could not be exported"):
        default.export_demo_model(tmp_path / "out")
