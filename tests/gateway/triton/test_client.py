"""What the errors that Triton passes on mean: by the stages' codes, else by its own words."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from tritonclient.utils import InferenceServerException

from gateway.errors import (
    ImageTooLarge,
    InsufficientCapacity,
    InvalidRequest,
    TritonFailed,
    TritonLost,
    UnknownModel,
)
from gateway.triton.client import ServedModel, TritonClient, _translated
from stages import errors as stages

STOPPING = "Server is stopping, scheduler for model has stopped accepting new inference requests"
PARAMETERS = {
    "model_id": "x/y",
    "num_inference_steps": "75",
    "guidance_scale": "9.0",
    "noise_level": "20",
    "max_noise_level": "350",
    "safety_checker": "none",
}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to connect to all addresses; last error: Connection refused", TritonLost),
        ("Socket closed", TritonLost),
        ("recvmsg:Connection reset by peer", TritonLost),
        (STOPPING, TritonLost),
        (stages.EngineFailed(f"text_encoder: {STOPPING}").message, TritonLost),
        (stages.EngineFailed("unet: Server not ready").message, TritonLost),
        (stages.EngineFailed("unet: Stub process 'unet_0_0' is not healthy.").message, TritonLost),
        (stages.EngineFailed("unet: out of memory").message, TritonFailed),
        (stages.Cancelled("The request was cancelled.").message, TritonFailed),
        (stages.DeadlineExceeded("The time is over.").message, TimeoutError),
        (stages.InsufficientCapacity("72 requests are worked on.").message, InsufficientCapacity),
        (stages.ImageTooLarge("The image is too large.").message, ImageTooLarge),
        (stages.InvalidRequest("noise_level is 999.").message, InvalidRequest),
        (stages.NoSafetyChecker().message, InvalidRequest),
        ("in ensemble 'upscale', [invalid_request] seed is missing.", InvalidRequest),
        ("insufficient capacity", TritonFailed),  # words are no code
        ("Request for unknown model: 'denoise' is not ready", TritonFailed),
        ("Request for unknown model: 'encode' has no available versions", TritonLost),
        ("unet: Stub process 'unet_0_0' is not healthy.", TritonLost),
    ],
)
def test_an_error_is_told_by_its_code_or_tritons_words(words: str, kind: type[Exception]) -> None:
    error = InferenceServerException(words, "StatusCode.UNAVAILABLE")
    assert type(_translated(error)) is kind


def test_a_stages_sentence_is_for_the_caller_and_tritons_words_are_not() -> None:
    error = InferenceServerException(stages.ImageTooLarge("The image is 9 x 9.").message)
    assert str(_translated(error)) == "The image is 9 x 9."
    assert "/models" not in str(_translated(InferenceServerException("/models/decode failed")))


def served_model(parameters: dict[str, str]) -> ServedModel:
    """Of a Triton whose `upscale` has these parameters."""
    values = {name: SimpleNamespace(string_value=value) for name, value in parameters.items()}

    async def get_model_config(_: str) -> Any:
        return SimpleNamespace(config=SimpleNamespace(parameters=values))

    async def main() -> ServedModel:
        client = TritonClient("triton:8001")
        client._client.get_model_config = get_model_config
        try:
            return await client.served_model()
        finally:
            await client.close()

    return asyncio.run(main())


def test_the_model_is_what_the_export_wrote() -> None:
    assert served_model(PARAMETERS).model_id == "x/y"
    assert served_model(PARAMETERS | {"prompt_has_effect": "False"}).prompt_has_effect is False


@pytest.mark.parametrize(
    ("parameters", "lack"),
    [({}, "'model_id'"), (PARAMETERS | {"noise_level": "much"}, "'much'")],
)
def test_a_model_of_somebody_elses_is_said_to_be(parameters: dict[str, str], lack: str) -> None:
    with pytest.raises(UnknownModel, match=f"at triton:8001 .*`upscale export`.*{lack}"):
        served_model(parameters)
