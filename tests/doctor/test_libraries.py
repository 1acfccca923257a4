"""Packages against the versions that are asked for."""

from importlib.metadata import PackageNotFoundError

import onnxruntime
import pytest

from doctor import libraries
from doctor.finding import State
from doctor.libraries import compare, look_at_libraries, look_at_onnxruntime, look_at_torch


def test_what_is_installed_here_fits() -> None:
    found = look_at_libraries("cpu")
    packages = [finding for finding in found if finding.subject.startswith("packages")]
    assert [finding.state for finding in packages] == [State.GOOD] * 4


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("numpy>=99", "numpy>=99 is needed and 1."),
        ("nobody-has-this>=1", "nobody-has-this>=1 is not installed"),
    ],
)
def test_what_does_not_fit_is_named(requirement: str, words: str) -> None:
    found = compare("packages", ["numpy>=1", requirement])
    assert found.state == State.WRONG
    assert found.sentence.startswith(words)
    assert found.sentence.endswith("Install what requirements.txt pins.")


def test_onnxruntime_gpu_takes_the_place_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "onnxruntime-gpu":
            raise PackageNotFoundError
        return "1.32.0"

    monkeypatch.setattr(libraries, "version", version)
    assert compare("packages", ["onnxruntime>=1.22"]).state == State.GOOD


@pytest.mark.parametrize(("device", "state"), [("cuda:0", State.WRONG), ("cpu", State.UNCHECKED)])
def test_libraries_without_cuda_are_wrong_for_a_gpu(
    device: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPU"])
    for found in (look_at_torch(device), look_at_onnxruntime(device)):
        assert found.state == state
        assert "has no CUDA" in found.sentence


def test_libraries_with_cuda_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.backends.cudnn.version", lambda: 91300)
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert "CUDA 13.0, cuDNN 91300" in look_at_torch("cuda:0").sentence
    assert look_at_onnxruntime("cuda:0").state == State.GOOD
