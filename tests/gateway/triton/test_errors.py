"""What the errors that Triton passes on mean: by the stages' codes, else by its own words."""

import pytest
from tritonclient.utils import InferenceServerException

from gateway.errors import (
    BrokenPicture,
    ImageTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    TritonFailed,
    TritonLost,
    TritonRefused,
)
from gateway.triton.errors import translated
from stages import errors as stages

STOPPING = "Server is stopping, scheduler for model has stopped accepting new inference requests"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to connect to all addresses; last error: Connection refused", TritonRefused),
        ("Socket closed", TritonLost),
        ("recvmsg:Connection reset by peer", TritonLost),
        (STOPPING, TritonRefused),
        (stages.EngineFailed(f"text_encoder: {STOPPING}").message, TritonRefused),
        (stages.EngineFailed("unet: Server not ready").message, TritonRefused),
        (stages.EngineFailed("unet: Stub process 'unet_0_0' is not healthy.").message, TritonLost),
        (stages.EngineFailed("unet: out of memory").message, TritonFailed),
        (stages.Cancelled("The request was cancelled.").message, TritonFailed),
        (stages.DeadlineExceeded("The time is over.").message, TimeoutError),
        (stages.InsufficientCapacity("72 requests are worked on.").message, InsufficientCapacity),
        (stages.ImageTooLarge("The image is too large.").message, ImageTooLarge),
        (stages.BrokenPicture("it is black").message, BrokenPicture),
        (stages.InvalidRequest("noise_level is 999.").message, InvalidRequest),
        (stages.NoSafetyChecker().message, InvalidRequest),
        ("in ensemble 'upscale', [invalid_request] seed is missing.", InvalidRequest),
        ("insufficient capacity", TritonFailed),  # words are no code
        ("Request for unknown model: 'denoise' is not ready", TritonFailed),
        ("Request for unknown model: 'encode' has no available versions", TritonRefused),
        ("unet: Stub process 'unet_0_0' is not healthy.", TritonLost),
    ],
)
def test_an_error_is_told_by_its_code_or_tritons_words(words: str, kind: type[Exception]) -> None:
    error = InferenceServerException(words, "StatusCode.UNAVAILABLE")
    assert type(translated(error)) is kind


def test_a_stages_sentence_is_for_the_caller_and_tritons_words_are_not() -> None:
    error = InferenceServerException(stages.ImageTooLarge("The image is 9 x 9.").message)
    assert str(translated(error)) == "The image is 9 x 9."
    assert "/models" not in str(translated(InferenceServerException("/models/decode failed")))
