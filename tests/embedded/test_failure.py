"""What is told of a Triton that has ended: the true cause."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from embedded import out_of_memory
from embedded.errors import TritonError
from embedded.out_of_memory import oom_kills
from embedded.triton import Triton, free_port, refuse_taken


@pytest.fixture
def vmstat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's counts, as a file."""
    path = tmp_path / "vmstat"
    path.write_text("nr_free_pages 5\noom_kill 3\nzone_reclaim 0\n")
    monkeypatch.setattr(out_of_memory, "VMSTAT", path)
    return path


def test_the_kernels_count_is_read(vmstat: Path) -> None:
    assert oom_kills() == 3
    vmstat.write_text("nr_free_pages 5\n")
    assert oom_kills() == 0
    vmstat.unlink()
    assert oom_kills() == 0


def triton_of(log: str, folder: Path) -> Triton:
    """One whose log has these lines."""
    path = folder / "log"
    path.write_text(log)
    return Triton(folder, path)


@pytest.mark.parametrize("log", ["", 'E1127 06:00:30.1 1 a.cc:1] "a stub is not healthy"\n'])
def test_memory_that_ran_out_is_the_cause_whatever_the_log_says(
    vmstat: Path, tmp_path: Path, log: str
) -> None:
    triton = triton_of(log, tmp_path)
    triton._oom_kills = oom_kills()
    assert "the kernel" not in str(triton.failure())
    vmstat.write_text("oom_kill 4\n")
    assert "the kernel has ended a process because memory ran out" in str(triton.failure())


def test_a_signal_is_named(vmstat: Path, tmp_path: Path) -> None:
    triton = triton_of("", tmp_path)
    triton._oom_kills = oom_kills()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.kill()
    triton._process = process
    assert str(triton.failure()).startswith("Triton was ended by SIGKILL: its log names no error.")


def test_a_taken_port_of_triton_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "upscale").mkdir(parents=True)
    (repository / "upscale" / "config.pbtxt").touch()
    (repository / "manifest.json").write_text('{"engines": {}}')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(TritonError, match=f"port {port} on 127.0.0.1 cannot be used: Address"):
            Triton(repository, tmp_path / "log", port).start()
    refuse_taken("127.0.0.1", port)
    refuse_taken("127.0.0.1", free_port())
