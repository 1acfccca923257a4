"""The device that was asked for, on machines that are faked."""

import pytest

from doctor import device
from doctor.device import choose_device, visible_devices
from doctor.finding import State


def with_gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "NVIDIA H100")
    monkeypatch.setattr(device, "gpu_refusal", lambda: None)


@pytest.mark.parametrize(
    ("asked", "count", "expected"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cpu", 2, "cpu"), ("cuda:1", 2, "cuda:1")],
)
def test_it_is_what_the_server_takes(
    asked: str, count: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(count, monkeypatch)
    chosen, finding = choose_device(asked)
    assert (chosen, finding.state) == (expected, State.GOOD)
    assert ("H100, compute capability 9.0" in finding.sentence) is expected.startswith("cuda")


@pytest.mark.parametrize("asked", ["cuda:2", "gpu"])
def test_one_that_is_not_there_is_wrong(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(2, monkeypatch)
    chosen, finding = choose_device(asked)
    assert (chosen, finding.state) == (asked, State.WRONG)
    assert f"{asked} was asked for." in finding.sentence
    assert "sees cpu, cuda:0, cuda:1. Name one of them" in finding.sentence


@pytest.mark.parametrize("asked", ["auto", "cuda:0"])
def test_a_gpu_that_pytorch_cannot_use_is_wrong(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(0, monkeypatch)
    monkeypatch.setattr(device, "gpu_refusal", lambda: "The driver is too old.")
    chosen, finding = choose_device(asked)
    assert (chosen, finding.state) == ("cuda:0", State.WRONG)
    assert "The driver is too old." in finding.sentence


@pytest.mark.parametrize(
    ("named", "of", "visible"),
    [(None, "cpu", ""), (None, "cuda:1", "1"), ("4,GPU-5", "cuda:1", "GPU-5"), ("4", "cpu", "")],
)
def test_a_process_sees_that_gpu_alone(
    named: str | None, of: str, visible: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_devices(of) == visible
