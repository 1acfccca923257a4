"""A GPU that is here and cannot be used is told, by the driver's version."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.engine_choice import has_gpu
from export.errors import ExportError
from stages import gpu

DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82.01  Wed Oct 27 21:21:55 UTC 2021\n"


def too_old() -> None:
    raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")


def without_cuda() -> None:
    raise AssertionError("Torch not compiled with CUDA enabled")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """That of the devices: one GPU, which PyTorch does not see."""
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    (tmp_path / "version").write_text(DRIVER)
    monkeypatch.setattr(gpu, "DEVICES", tmp_path)
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("init", "why"),
    [
        (too_old, "The NVIDIA driver on your system is too old (found version 11040)."),
        (without_cuda, "Torch not compiled with CUDA enabled."),
        (lambda: None, "it sees none."),
    ],
)
@pytest.mark.usefixtures("folder")
def test_it_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, init: Callable[[], None], why: str
) -> None:
    monkeypatch.setattr(torch.cuda, "init", init)
    told = str(gpu.gpu_refusal())
    assert "/nvidia0 with driver 470.82.01: " in told
    assert f": {why} Install" in told


@pytest.mark.parametrize("value", ["", "-1"])
@pytest.mark.usefixtures("folder")
def test_one_that_is_hidden_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert gpu.gpu_refusal() is None


def test_where_none_is_here_nothing_is_told(folder: Path) -> None:
    (folder / "nvidia0").unlink()
    assert gpu.gpu_refusal() is None


@pytest.mark.usefixtures("folder")
def test_one_that_works_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert gpu.gpu_refusal() is None


def test_a_driver_that_does_not_say_its_version(folder: Path) -> None:
    (folder / "version").unlink()
    assert "with driver unknown: " in str(gpu.gpu_refusal())


@pytest.mark.usefixtures("folder")
def test_no_export_for_the_cpu_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for a PyTorch that was installed for CPUs: there, engines are to be for the CPU."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ExportError, match=r"driver 470\.82\.01"):
        has_gpu()
    monkeypatch.setattr(torch.version, "cuda", None)
    assert not has_gpu()
