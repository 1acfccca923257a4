"""One picture against diffusers'; tests/cli/test_doctor.py makes a real one."""

import os
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from doctor import picture
from doctor.finding import State
from doctor.picture import compare, look_at_picture, psnr, served_picture
from gateway.errors import TritonFailed, TritonRefused
from gateway.triton.client import Upscaled, UpscaleInputs
from gateway.triton.served_model import ServedModel
from tests.gateway.test_app import MODEL

PICTURE = np.full((4, 4, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("apart", "is_exact", "state"),
    [
        (1, True, State.GOOD),
        (2, True, State.WRONG),
        (2, False, State.GOOD),
        (8, False, State.GOOD),
        (9, False, State.WRONG),
    ],
)
def test_what_precision_allows(apart: int, is_exact: bool, state: State) -> None:
    found = compare(PICTURE, PICTURE + np.uint8(apart), "cpu", is_exact=is_exact)
    assert found.state == state
    assert f"are {apart} of 255 apart at most" in found.sentence


def test_another_size_is_wrong() -> None:
    assert compare(PICTURE, PICTURE[:2], "cpu", is_exact=True).state == State.WRONG


def test_without_a_model_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    found = look_at_picture(tmp_path, None, "cpu")
    assert found.state == State.UNCHECKED
    assert "--model" in found.sentence


def test_a_server_that_would_take_the_cpu_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "is_verified_on_cpu", lambda _: True)
    found = look_at_picture(tmp_path, tmp_path, "cuda:0")
    assert found.state == State.WRONG
    assert "onnxruntime-gpu" in found.sentence


def test_pictures_are_compared() -> None:
    assert psnr(PICTURE, PICTURE) == float("inf")
    assert psnr(PICTURE, PICTURE + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


class FakeTriton:
    """A server that refuses calls while it loads; `answers` are what the calls come to."""

    answers: list[Exception | None]
    status: int | None
    log: Path

    def __init__(self, _: Path, log: Path) -> None:
        FakeTriton.log = log
        self.url = "nowhere:1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ended(self) -> int | None:
        return self.status

    def failure(self) -> RuntimeError:
        return RuntimeError(f"Triton ended with status {self.status}")


class FakeClient:
    def __init__(self, url: str) -> None:
        assert url == "nowhere:1"

    async def served_model(self) -> ServedModel:
        return MODEL

    async def upscale(self, inputs: UpscaleInputs, timeout_s: float) -> Upscaled:
        answer = FakeTriton.answers.pop(0)
        if answer is not None:
            raise answer
        assert inputs.image.shape == (picture.SIDE, picture.SIDE, 3)
        return Upscaled(PICTURE, nsfw=False)

    async def close(self) -> None:
        pass


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> type[FakeTriton]:
    monkeypatch.setattr("embedded.triton.Triton", FakeTriton)
    monkeypatch.setattr(picture, "TritonClient", FakeClient)
    monkeypatch.setattr(picture, "START_INTERVAL_S", 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    FakeTriton.answers, FakeTriton.status = [], None
    return FakeTriton


def test_a_server_that_loads_is_waited_for(triton: type[FakeTriton], tmp_path: Path) -> None:
    triton.answers = [TritonRefused(), TritonRefused(), None]
    assert served_picture(tmp_path, "cuda:1") is PICTURE
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5", "it sees the GPU that was asked for, alone"
    assert not triton.log.exists()


def test_a_stage_that_fails_is_told_at_once_in_its_words(
    triton: type[FakeTriton], tmp_path: Path
) -> None:
    failed = TritonFailed()
    failed.__cause__ = RuntimeError("CUDA error: no kernel image is available")
    triton.answers = [failed]
    with pytest.raises(RuntimeError, match="no kernel image is available"):
        served_picture(tmp_path, "cpu")
    triton.log.unlink()  # kept for who looks


def test_a_server_that_ends_is_not_waited_for(triton: type[FakeTriton], tmp_path: Path) -> None:
    triton.answers, triton.status = [TritonRefused()], 1
    with pytest.raises(RuntimeError, match="Triton ended with status 1"):
        served_picture(tmp_path, "cpu")
    triton.log.unlink()
