"""What is said of drivers and containers that are faked."""

from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from doctor import driver
from doctor.driver import compare_cuda, look_at_container, look_at_driver
from doctor.finding import State

H100 = "GPU 0: NVIDIA H100 of 86 GB"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A driver 580.65 with an H100; what a test changes in the answers is told."""
    answers: dict[str, object] = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlSystemGetDriverVersion": "580.65.06",
        "nvmlSystemGetCudaDriverVersion_v2": 13000,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetName": "NVIDIA H100",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=85_899_345_920),
    }

    def answering(name: str) -> object:
        def answer(*_: object) -> object:
            given = answers[name]
            if isinstance(given, Exception):
                raise given
            return given

        return answer

    for name in answers:
        monkeypatch.setattr(pynvml, name, answering(name))
    monkeypatch.setattr("torch.version.cuda", "13.0")
    return answers


def test_a_driver_and_its_cuda_are_named(nvml: dict[str, object]) -> None:
    found, cuda = look_at_driver("cuda:0")
    assert (found.state, found.sentence) == (State.GOOD, f"580.65.06, with {H100}.")
    assert (cuda.state, cuda.sentence) == (State.GOOD, "The driver runs 13.0; PyTorch needs 13.0.")


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("nvmlInit", pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND), "docker run --gpus"),
        ("nvmlDeviceGetCount", pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST), "`nvidia-smi`"),
        ("nvmlDeviceGetCount", 0, "has no GPU"),
    ],
)
@pytest.mark.parametrize(("device", "state"), [("cuda:0", State.WRONG), ("cpu", State.UNCHECKED)])
def test_without_a_driver_only_a_cpu_can_be_used(
    nvml: dict[str, object], name: str, answer: object, words: str, device: str, state: State
) -> None:
    nvml[name] = answer
    [found] = look_at_driver(device)
    assert found.state == state
    assert words in found.sentence


@pytest.mark.parametrize(
    ("runs", "needed", "state", "words"),
    [
        ((12, 4), "13.0", State.WRONG, "Install a driver for CUDA 13"),
        ((13, 0), "13.2", State.GOOD, "may need a driver for 13.2"),
        ((13, 2), "13.0", State.GOOD, "PyTorch needs 13.0."),
        ((14, 0), "13.0", State.GOOD, "PyTorch needs 13.0."),
        ((13, 0), None, State.WRONG, "is built for CPUs only"),
    ],
)
def test_the_drivers_cuda_is_compared_with_pytorchs(
    runs: tuple[int, int], needed: str | None, state: State, words: str
) -> None:
    found = compare_cuda("cuda:0", "580.65.06", runs, needed)
    assert found.state == state
    assert words in found.sentence


@pytest.mark.parametrize(
    ("version", "status", "state", "words"),
    [
        ("580.65.06", None, State.GOOD, "made for driver 580.82.07; here is 580.65.06."),
        ("550.54.15", "CUDA Driver OK", State.GOOD, "forward compatibility makes up for it"),
        ("550.54.15", "no such device", State.WRONG, "is off: no such device."),
        ("550.54.15", None, State.WRONG, "not begun through"),
        ("unknown", None, State.UNCHECKED, "no driver to compare with"),
    ],
)
def test_a_container_says_whether_it_makes_up_for_an_older_driver(
    version: str,
    status: str | None,
    state: State,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "ENTRYPOINT", tmp_path)
    monkeypatch.setattr(driver, "driver_version", lambda: version)
    environment = {"CUDA_DRIVER_VERSION": "580.82.07", "NVIDIA_PRODUCT_NAME": "TensorRT"}
    if status is not None:
        environment["_CUDA_COMPAT_STATUS"] = status
    found = look_at_container(environment)
    assert found.state == state
    assert found.sentence.startswith("TensorRT container")
    assert words in found.sentence


def test_elsewhere_the_container_is_not_checked() -> None:
    assert look_at_container({}).state == State.UNCHECKED
