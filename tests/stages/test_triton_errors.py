"""Errors on their way through Triton and back."""

from typing import Any

import pytest

from stages.errors import ERRORS, StageError, error_of
from tests.stages.triton_stand_in import TritonError, install

STATUSES = {
    "invalid_request": TritonError.INVALID_ARG,
    "image_too_large": TritonError.INVALID_ARG,
    "no_safety_checker": TritonError.INVALID_ARG,
    "insufficient_capacity": TritonError.UNAVAILABLE,
    "deadline_exceeded": TritonError.UNAVAILABLE,
    "cancelled": TritonError.CANCELLED,
    "engine_failed": TritonError.INTERNAL,
    "out_of_memory": TritonError.INTERNAL,
    "broken_picture": TritonError.INTERNAL,
}


@pytest.fixture
def triton_error(monkeypatch: pytest.MonkeyPatch) -> Any:
    install(monkeypatch)
    from stages import triton_errors

    return triton_errors.triton_error


@pytest.mark.parametrize("kind", ERRORS.values(), ids=lambda kind: kind.code)
def test_an_error_comes_back_as_itself(triton_error: Any, kind: type[StageError]) -> None:
    answer = triton_error(kind("A sentence [with] brackets."))
    assert answer.code == STATUSES[kind.code]
    error = error_of(f"in ensemble 'upscale', {answer.message()}")
    assert type(error) is kind
    assert str(error) == "A sentence [with] brackets."


def test_what_was_not_expected_is_internal_and_logged(
    triton_error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = triton_error(OSError("no room"))
    assert answer.code == TritonError.INTERNAL
    assert answer.message() == "OSError: no room"
    assert error_of(answer.message()) is None
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. GPU 0 is full")]
)
def test_what_is_said_of_memory_stays_in_the_log(
    triton_error: Any, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """As where the latents of a job have no room, outside of an engine."""
    answer = triton_error(error)
    assert answer.code == TritonError.INTERNAL
    assert answer.message() == "[out_of_memory] There was not enough memory for this request."
    assert caplog.records[0].exc_info is not None
