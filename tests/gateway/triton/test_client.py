"""What Triton's and gRPC's words mean."""

import pytest
from tritonclient.utils import InferenceServerException

from gateway.errors import ConnectionLost, ImageTooLarge, InsufficientCapacity, TritonFailed
from gateway.triton.client import _translated


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to connect to all addresses; last error: Connection refused", ConnectionLost),
        ("Socket closed", ConnectionLost),
        ("recvmsg:Connection reset by peer", ConnectionLost),
        ("insufficient capacity: 72 requests are being worked on", InsufficientCapacity),
        ("image is too large for this server: 9 x 9 pixels take 1 MB", ImageTooLarge),
        ("Request for unknown model: 'denoise' is not ready", TritonFailed),
        ("unet: Model unet - Error when running inference: Server not ready", ConnectionLost),
        ("Request for unknown model: 'encode' has no available versions", ConnectionLost),
        ("unet: Stub process 'unet_0_0' is not healthy.", ConnectionLost),
    ],
)
def test_an_error_is_told_by_its_words(words: str, kind: type[Exception]) -> None:
    error = InferenceServerException(words, "StatusCode.UNAVAILABLE")
    assert type(_translated(error)) is kind


def test_a_size_is_said_to_the_caller_and_nothing_else() -> None:
    error = InferenceServerException("image is too large for this server: 9 x 9 pixels take 1 MB")
    assert str(_translated(error)).startswith("The image is too large for this server: 9 x 9")
    assert "/models" not in str(_translated(InferenceServerException("/models/decode failed")))
