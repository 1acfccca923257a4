"""Engines of an exported repository, and what is said of those that do not run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doctor import engines
from doctor.apart import Failed
from doctor.engines import Ran, look_at_engine, look_at_engines, run_engine
from doctor.finding import Finding, State

ENTRY = {"engine": "onnx", "precision": "fp32", "verified_on": "cpu"}


def look(device: str, entry: dict[str, Any] = ENTRY) -> Finding:
    return look_at_engine(Path("nowhere"), "unet", entry, device, "upscale export --model x")


def answering(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "apart", lambda *_: ran)


def test_every_engine_runs(
    repositories: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "apart", lambda function, *arguments: function(*arguments))
    found = list(look_at_engines(repositories("narrow"), "cpu"))
    names = [f"engine {n}" for n in ("text_encoder", "unet", "vae_decoder", "safety_checker")]
    assert [finding.subject for finding in found] == names
    for finding in found:
        assert finding.state == State.GOOD, finding.sentence
        assert "onnx in fp32: loaded on cpu in" in finding.sentence


def test_no_number_is_no_answer(
    repositories: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        device = "cpu"

        def __call__(self, _: object) -> list[Any]:
            return [np.array([1.0, np.nan])]

    monkeypatch.setattr(engines, "find_engine", lambda *_: Broken())
    with pytest.raises(ValueError, match="what is no number"):
        run_engine(repositories("narrow"), "unet", "onnx", "cpu")


def test_one_that_fails_is_told_in_the_librarys_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Ran:
        raise Failed("no kernel image for this device")

    monkeypatch.setattr(engines, "apart", fail)
    found = look("cuda:0")
    assert found.state == State.WRONG
    assert found.sentence == (
        "onnx in fp32 does not run on cuda:0: no kernel image for this device."
    )


def test_one_that_takes_another_device_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(Ran("cpu", 1.0, 0.001, 0), monkeypatch)
    found = look("cuda:0", {**ENTRY, "engine": "aoti"})
    assert found.state == State.WRONG
    assert "runs on cpu, and cuda:0 was asked for" in found.sentence
    assert "upscale export --model x" in found.sentence


def test_on_a_gpu_its_memory_is_told_and_what_the_export_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(Ran("cuda:0", 1.0, 0.001, 2_000_000_000), monkeypatch)
    found = look("cuda:0")
    assert found.state == State.GOOD
    assert "takes 2000 MB of the GPU" in found.sentence
    assert found.sentence.endswith("on the CPU only.")
    verified = look("cuda:0", {**ENTRY, "verified_on": "cuda"})
    assert verified.sentence.endswith("one run takes 1 ms.")


def test_one_of_another_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "machine_refusal", lambda *_: "Made for another GPU.")
    assert look("cuda:0").sentence == "Made for another GPU."
    assert look("cuda:0").state == State.WRONG


def test_without_its_library_it_is_not_checked() -> None:
    found = look("cuda:0", {**ENTRY, "engine": "tensorrt"})
    assert found.state == State.UNCHECKED
    assert "tensorrt is not installed here" in found.sentence
