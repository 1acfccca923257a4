"""What is deleted, and what never may be."""

from pathlib import Path

import pytest

from embedded import triton
from embedded.triton import Triton, TritonError, reason, remove_traces, sweep


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    shared_memory, temporary = tmp_path / "shm", tmp_path / "tmp"
    shared_memory.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(triton, "SHARED_MEMORY", shared_memory)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    return shared_memory, temporary


def test_traces_of_dead_servers_are_swept(folders: tuple[Path, Path]) -> None:
    shared_memory, temporary = folders
    dead, living = 2**22 + 1, 1  # above any process id; always there
    for pid in (dead, living):
        (shared_memory / f"upscale-{pid}-ab-region").touch()
        (temporary / f"upscale-{pid}-ab-backends").mkdir()
    (temporary / "upscale-triton-x.log").touch()
    sweep()
    assert [path.name for path in shared_memory.iterdir()] == [f"upscale-{living}-ab-region"]
    kept = {path.name for path in temporary.iterdir()}
    assert kept == {f"upscale-{living}-ab-backends", "upscale-triton-x.log"}


@pytest.mark.parametrize("prefix", ["", ".", "other", "*"])
def test_nothing_is_removed_by_a_name_that_is_not_ours(
    folders: tuple[Path, Path], prefix: str
) -> None:
    (folders[1] / "other").mkdir()
    with pytest.raises(AssertionError):
        remove_traces(prefix)
    assert (folders[1] / "other").exists()


def test_stopping_what_never_started_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").touch()
    monkeypatch.chdir(tmp_path)
    server = Triton(tmp_path, tmp_path / "log")
    with pytest.raises(TritonError, match="is no model repository"):
        server.start()
    server.stop()
    assert (tmp_path / "precious").exists()


def test_the_reason_is_the_line_that_a_person_needs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    assert reason(log) == "it said nothing."
    log.write_text("I1 fine\nE2 bad\nE3 failed to load 'unet'\nI4 bye\n")
    assert reason(log) == "E3 failed to load 'unet'"
    log.write_text("stub: error while loading shared libraries: libpython3.11.so.1.0: not found")
    assert "apt install libpython3." in reason(log)
