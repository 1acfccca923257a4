"""What is deleted, and what never may be."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedded import leftovers
from embedded.errors import TritonError
from embedded.leftovers import new_prefix, remove_by_prefix, remove_leftovers
from embedded.triton import Triton

DEAD, LIVING = 2**22 + 1, 1  # above any process id; always there


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    shared_memory, temporary = tmp_path / "shm", tmp_path / "tmp"
    shared_memory.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(leftovers, "SHARED_MEMORY", shared_memory)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    return shared_memory, temporary


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_dead_servers_left_is_removed(folders: tuple[Path, Path]) -> None:
    shared_memory, temporary = folders
    for pid in (DEAD, LIVING):
        (shared_memory / f"upscale-{pid}-0123abcd-region").touch()
        (temporary / f"upscale-{pid}-0123abcd-backends" / "python").mkdir(parents=True)
    (temporary / f"upscale-{DEAD}-0123abcd-link").symlink_to(shared_memory)
    (temporary / "upscale-triton-x.log").touch()
    remove_leftovers()
    assert names(shared_memory) == {f"upscale-{LIVING}-0123abcd-region"}
    assert names(temporary) == {f"upscale-{LIVING}-0123abcd-backends", "upscale-triton-x.log"}


@pytest.mark.parametrize(
    "name", [f"upscale-{DEAD}-mine", f"upscale-{DEAD}-0123abcd", f"upscale-{DEAD}-0123ABCD-x"]
)
def test_what_is_named_otherwise_stays(folders: tuple[Path, Path], name: str) -> None:
    (folders[1] / name).mkdir()
    remove_leftovers()
    assert (folders[1] / name).is_dir()


def test_what_is_another_users_stays(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_memory, temporary = folders
    prefix = new_prefix()
    (shared_memory / f"upscale-{DEAD}-0123abcd-region").touch()
    (temporary / f"{prefix}backends").mkdir()
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    remove_leftovers()
    remove_by_prefix(prefix)
    assert names(shared_memory)
    assert names(temporary)
    monkeypatch.setattr(os, "getuid", lambda: uid)
    remove_leftovers()
    remove_by_prefix(prefix)
    assert not names(shared_memory)
    assert not names(temporary)


def test_servers_that_start_at_once_remove_the_same(folders: tuple[Path, Path]) -> None:
    for attempt in range(20):
        left = folders[1] / f"upscale-{DEAD}-0123abcd-backends"
        for number in range(200):
            path = left / f"model-{number % 10}" / f"{attempt}-{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        with ThreadPoolExecutor(4) as pool:
            for removed in [pool.submit(remove_leftovers) for _ in range(4)]:
                removed.result()
        assert not names(folders[1])


def test_a_server_removes_what_is_its_own(folders: tuple[Path, Path]) -> None:
    own, other = new_prefix(), new_prefix()
    for prefix in (own, other):
        (folders[0] / f"{prefix}region").touch()
    remove_by_prefix(own)
    assert names(folders[0]) == {f"{other}region"}


@pytest.mark.parametrize("prefix", ["", ".", "other", "*", "upscale-", "upscale-1-"])
def test_nothing_is_removed_by_a_name_that_is_not_ours(
    folders: tuple[Path, Path], prefix: str
) -> None:
    (folders[1] / "other").mkdir()
    with pytest.raises(ValueError, match="is not the prefix of a server"):
        remove_by_prefix(prefix)
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
