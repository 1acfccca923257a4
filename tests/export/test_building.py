"""What a build leaves behind: the whole, or nothing, however it ends."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from export.building import LOCK, building
from export.errors import ExportError

BUILD = """
import sys, time
from pathlib import Path
from export.building import building
with building(Path(sys.argv[1])) as folder:
    (folder / "weights").write_bytes(bytes(1000))
    print("building", flush=True)
    time.sleep(60)
"""


def build(output: Path) -> subprocess.Popen[str]:
    """A process in the middle of a build."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(output)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "building\n"
    return process


def test_it_appears_whole(tmp_path: Path) -> None:
    with building(tmp_path / "deep" / "out") as folder:
        (folder / "weights").write_bytes(b"1")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir()] == ["weights"]
    assert (tmp_path / "deep" / "out").stat().st_mode & 0o777 == 0o755
    with pytest.raises(ExportError, match="exists already"), building(tmp_path / "deep" / "out"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = build(tmp_path / "out")
    process.send_signal(number)
    assert process.wait(30) in (128 + number, -number)
    assert list(tmp_path.iterdir()) == []


def test_signals_are_what_they_were_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with building(tmp_path / "out"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_next_build_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed, alive = build(tmp_path / "killed"), build(tmp_path / "alive")
    killed.kill()
    killed.wait()
    others = tmp_path / ".out-abcdefgh"  # named like ours, but not ours
    others.mkdir()
    try:
        assert len(list(tmp_path.glob(f".*/{LOCK}"))) == 2
        with building(tmp_path / "out"):
            assert not list(tmp_path.glob(".killed-*"))
            assert list(tmp_path.glob(".alive-*/alive/weights"))
        assert others.is_dir()
    finally:
        alive.terminate()
        alive.wait()


def test_another_users_build_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".left-abcdefgh").mkdir()
    (tmp_path / ".left-abcdefgh" / LOCK).touch()
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    with building(tmp_path / "out"):
        pass
    assert (tmp_path / ".left-abcdefgh").is_dir()


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"The disk of .* is full\. Make room there"),
        building(tmp_path / "out"),
    ):
        Path("/dev/full").write_bytes(b"1")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_that_a_compiler_met_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(ExportError, match="is full"), building(tmp_path / "out"):
        raise RuntimeError("g++ ended with status 1")


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), building(tmp_path / "out"):
        (tmp_path / "nothing").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_it_works_outside_of_the_main_thread(tmp_path: Path) -> None:
    def work() -> None:
        with building(tmp_path / "out"):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (tmp_path / "out").is_dir()
