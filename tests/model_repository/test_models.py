"""The three stages as Triton calls them: every request gets an answer, whatever happens."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.errors import (
    BrokenPicture,
    ImageTooLarge,
    InvalidRequest,
    NoSafetyChecker,
    OutOfMemory,
    error_of,
)
from stages.limits import SCALE
from stages.prediction import UNet
from stages.schedulers import DDIM, Schedulers, schedulers_text
from stages.step_cache import FEATURE, StepCache
from tests.model_repository.models import load_model
from tests.stages.schedules_file import swapped
from tests.stages.test_loop import make_loop, zeros
from tests.stages.test_step_cache import CACHE, Halves
from tests.stages.triton_stand_in import (
    InferenceRequest,
    InferenceResponse,
    Tensor,
    TritonError,
    TritonRequest,
)

Answers = dict[str, InferenceResponse | Exception]


def answer_with(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    """What the engines answer to BLS calls, by name."""

    def answer(name: str, _: dict[str, Any]) -> InferenceResponse:
        found = answers[name]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(InferenceRequest, "answer", staticmethod(answer), raising=False)


IMAGE = np.random.default_rng(1).integers(0, 256, (7, 5, 3), np.uint8)
FAILED = InferenceResponse([], TritonError("CUDA out of memory. Tried to allocate 2.00 GiB."))


def prompts(prompt: bytes = b"a cat") -> TritonRequest:
    return TritonRequest({"prompt": [prompt], "negative_prompt": [b""]})


def encode(monkeypatch: pytest.MonkeyPatch, answers: Answers, request: TritonRequest) -> Any:
    model = load_model("encode", monkeypatch).TritonPythonModel()
    model.tokens = lambda texts: np.zeros((len(texts), 77), np.int64)
    answer_with(monkeypatch, answers)
    [response] = model.execute([request])
    return response


def test_encode_answers_with_a_row_for_each_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    embeds = np.random.default_rng(0).random((2, 77, 6), np.float32)
    answers: Answers = {"text_encoder": InferenceResponse([Tensor("prompt_embeds", embeds)])}
    response = encode(monkeypatch, answers, prompts())
    assert np.array_equal(response.arrays["prompt_embeds"], embeds[0])
    assert np.array_equal(response.arrays["negative_prompt_embeds"], embeds[1])


def test_encodes_errors_have_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    error = encode(monkeypatch, {}, prompts(b"\xff")).error()
    assert (type(error_of(str(error))), error.code) == (InvalidRequest, TritonError.INVALID_ARG)
    error = encode(monkeypatch, {"text_encoder": FAILED}, prompts()).error()
    assert (type(error_of(str(error))), error.code) == (OutOfMemory, TritonError.INTERNAL)
    expected = "[out_of_memory] text_encoder: there was not enough memory for this call."
    assert str(error) == expected
    broken = InferenceResponse([], TritonError("no kernel"))
    error = encode(monkeypatch, {"text_encoder": broken}, prompts()).error()
    assert str(error) == "[engine_failed] text_encoder: no kernel"
    error = encode(monkeypatch, {"text_encoder": OSError("gone")}, prompts()).error()
    assert (str(error), error.code) == ("OSError: gone", TritonError.INTERNAL)


def decoded(
    monkeypatch: pytest.MonkeyPatch,
    answers: Answers,
    *,
    safety_check: bool = False,
    image: NDArray[np.uint8] = IMAGE,
    cancelled_after: int | None = None,
    **parameters: Any,
) -> list[Any]:
    """What is sent for a request for an image, up to the end of its answers."""
    model = load_model("decode", monkeypatch).TritonPythonModel()
    model.batch_size, model.clip_pixels, model.max_tile = 4, None, 128
    answer_with(monkeypatch, answers)
    latents = np.zeros((4, *(side + -side % 8 for side in image.shape[:2])), np.float32)
    request = TritonRequest(
        {"latents": latents, "image": image, "safety_check": [safety_check]}, **parameters
    )
    request.sender.cancelled_after = cancelled_after
    assert model.execute([request]) is None
    assert [last for _, last in request.sender.sent].index(True) == len(request.sender.sent) - 1
    return [response for response, _ in request.sender.sent if response is not None]


def decode(monkeypatch: pytest.MonkeyPatch, answers: Answers, **options: Any) -> Any:
    [response] = decoded(monkeypatch, answers, **options)
    return response


def test_decode_answers_with_the_image_without_its_padding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 8 * SCALE, 8 * SCALE, 3), np.uint8)
    answers: Answers = {"vae_decoder": InferenceResponse([Tensor("image", image)])}
    response = decode(monkeypatch, answers)
    assert np.array_equal(response.arrays["upscaled"], image[0, : 7 * SCALE, : 5 * SCALE])
    assert response.arrays["nsfw"].tolist() == [False]


BLACK = np.zeros((191, 189, 3), np.uint8)
TILES = InferenceResponse([Tensor("image", np.zeros((4, 104 * SCALE, 104 * SCALE, 3), np.uint8))])


def test_decode_tells_its_tiles_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    *told, _ = decoded(monkeypatch, {"vae_decoder": TILES}, image=BLACK, progress=True)
    assert [response.arrays["progress"].tolist() for response in told] == [[0, 4], [4, 4]]
    [answer] = decoded(monkeypatch, {"vae_decoder": TILES}, image=BLACK)
    assert answer.arrays["upscaled"].shape == (191 * SCALE, 189 * SCALE, 3)


@pytest.mark.parametrize("parameters", [{}, {"progress": True}])
def test_decode_stops_when_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]
) -> None:
    [answer] = decoded(monkeypatch, {}, cancelled_after=0, **parameters)  # no engine is called
    assert answer.error().code == TritonError.CANCELLED


def test_decodes_errors_have_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    error = decode(monkeypatch, {}, safety_check=True).error()
    assert (type(error_of(str(error))), error.code) == (NoSafetyChecker, TritonError.INVALID_ARG)
    error = decode(monkeypatch, {"vae_decoder": FAILED}).error()
    assert type(error_of(str(error))) is OutOfMemory
    error = decode(monkeypatch, {"vae_decoder": OSError("gone")}).error()
    assert (str(error), error.code) == ("OSError: gone", TritonError.INTERNAL)


def test_a_call_of_the_decoder_without_memory_goes_in_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = load_model("decode", monkeypatch)
    calls: list[int] = []

    def answer(_: str, inputs: dict[str, Any]) -> InferenceResponse:
        latents = inputs["latents"]
        calls.append(len(latents))
        if len(latents) > most:
            return FAILED
        return InferenceResponse([Tensor("image", latents.astype(np.uint8))])

    monkeypatch.setattr(InferenceRequest, "answer", staticmethod(answer), raising=False)
    windows = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    most = 2
    assert np.concatenate(module.decoded(windows, None)).ravel().tolist() == [0, 1, 2, 3]
    assert calls == [4, 2, 2]
    most = 0
    with pytest.raises(OutOfMemory):
        module.decoded(windows[:1], None)


def test_decode_holds_back_what_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.zeros((1, 8 * SCALE, 8 * SCALE, 3), np.uint8)
    answers: Answers = {"vae_decoder": InferenceResponse([Tensor("image", black)])}
    error = decode(monkeypatch, answers).error()
    assert (type(error_of(str(error))), error.code) == (BrokenPicture, TritonError.INTERNAL)
    dark = np.full((7, 5, 3), 3, np.uint8)
    assert not decode(monkeypatch, answers, image=dark).arrays["upscaled"].any()
    noise = np.random.default_rng(0).integers(0, 9, black.shape, np.uint8)
    negative: Answers = {"vae_decoder": InferenceResponse([Tensor("image", noise)])}
    white = np.full((7, 5, 3), 255, np.uint8)
    error = decode(monkeypatch, negative, image=white).error()
    assert type(error_of(str(error))) is BrokenPicture


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_denoise_holds_back_latents_that_are_not_finite(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def broken(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        [prediction] = zeros(inputs)
        prediction[0, 0, 0, 0] = value
        return [prediction]

    [answer] = denoise(monkeypatch, broken)
    assert type(error_of(str(answer.error()))) is BrokenPicture
    assert answer.error().code == TritonError.INTERNAL


INPUTS: dict[str, Any] = {
    "image": np.zeros((16, 24, 3), np.uint8),
    "prompt_embeds": np.zeros((77, 6), np.float32),
    "negative_prompt_embeds": np.zeros((77, 6), np.float32),
    "seed": [1],
    "num_inference_steps": [2],
    "guidance_scale": [9.0],
    "noise_level": [20],
    "safety_check": [False],
}


def denoise(
    monkeypatch: pytest.MonkeyPatch,
    unet: UNet = zeros,
    cache: StepCache | None = None,
    **changes: Any,
) -> list[Any]:
    """What is sent for a request, after all of its steps."""
    model = load_model("denoise", monkeypatch).TritonPythonModel()
    model.max_noise_level, model.has_safety_checker, model.preview = 350, False, None
    model.max_tile = 160
    model.schedulers = Schedulers((DDIM, swapped("EulerDiscrete")[0]))
    model.step_cache = cache
    model.loop = make_loop(unet)
    request = TritonRequest({**INPUTS, **changes})
    assert model.execute([request]) is None
    while model.loop.active_count + model.loop.waiting_count:
        model.loop.run_round()
    assert [last for _, last in request.sender.sent][-1:] == [True]
    return [response for response, _ in request.sender.sent]


def test_denoise_answers_with_latents_and_what_decode_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, last = denoise(monkeypatch)
    assert answer.arrays["latents"].shape == (4, 16, 24)
    assert np.array_equal(answer.arrays["image"], INPUTS["image"])
    assert answer.arrays["safety_check"].tolist() == [False]
    assert answer.arrays["max_tile"].tolist() == [160]
    assert last is None


def test_denoise_steps_with_the_scheduler_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[dict[str, Any]] = [{}, {"scheduler": [b""]}, {"scheduler": [b"EulerDiscrete"]}]
    own, empty, other = (denoise(monkeypatch, **name)[0].arrays["latents"] for name in named)
    assert np.array_equal(own, empty)
    assert not np.allclose(own, other)


def test_denoise_reuses_deep_features_as_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    unet = Halves()
    denoise(monkeypatch, unet, CACHE, step_cache=[3], num_inference_steps=[5])
    assert [FEATURE in inputs for inputs in unet.calls] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"safety_check": [True]}, NoSafetyChecker),
        ({"noise_level": [351]}, InvalidRequest),
        ({"scheduler": [b"Heun"]}, InvalidRequest),
        ({"step_cache": [2]}, InvalidRequest),
        ({"step_cache": [0]}, InvalidRequest),
        ({"image": np.zeros((3000, 3000, 3), np.uint8)}, ImageTooLarge),
    ],
)
def test_what_denoise_refuses_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], kind: type
) -> None:
    [answer] = denoise(monkeypatch, **changes)
    assert type(error_of(str(answer.error()))) is kind
    assert answer.error().code == TritonError.INVALID_ARG


def test_a_request_that_cannot_be_read_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    [answer] = denoise(monkeypatch, seed=[])
    assert answer.error().code == TritonError.INTERNAL
    assert answer.error().message().startswith("IndexError: ")


def test_denoise_ends_its_loop_and_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("denoise", monkeypatch).TritonPythonModel()
    ended: list[str] = []
    for name in ("loop.stop", "metrics.close"):
        part, method = name.split(".")
        stand_in = type(part, (), {method: lambda _, name=name: ended.append(name)})()
        setattr(model, part, stand_in)
    model.finalize()
    assert ended == ["loop.stop", "metrics.close"]


def test_a_plan_bounds_the_tiles_of_both_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages do not start with larger ones."""
    parameters = {"vae_batch_size": "4", "safety_checker": "none", "max_noise_level": "350"}
    parameters |= {"max_tile": "160", "device": "cpu", "unet": "denoise", "cuda_graphs": "auto"}
    parameters["schedulers"] = schedulers_text([DDIM])
    config = {
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
        "input": [{"name": "prompt_embeds", "dims": [77, 6]}],
    }

    def refuse(name: str, max_tile: int, folder: Path) -> None:
        raise ValueError(f"{name} {max_tile} {folder.parent.name}/{folder.name}")

    for stage, engine, name in (
        ("denoise", "unet", "MAX_TILE"),
        ("decode", "vae_decoder", "DECODER_MAX_TILE"),
    ):
        monkeypatch.setenv(name, "512")
        module = load_model(stage, monkeypatch)
        monkeypatch.setattr(module, "refuse_past_plan", refuse)
        for unused in ("Schedules", "load_unet"):
            monkeypatch.setattr(module, unused, MagicMock(), raising=False)
        with pytest.raises(ValueError, match=f"^{name} 512 {engine}/1$"):
            module.TritonPythonModel().initialize({"model_config": json.dumps(config)})
