"""The ensemble `upscale`, as plain Triton clients call it."""

import queue
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException

from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server

DEFAULTS: dict[str, tuple[Any, str, Any]] = {
    "prompt": (b"a photo", "BYTES", np.object_),
    "negative_prompt": (b"", "BYTES", np.object_),
    "seed": (7, "INT64", np.int64),
    "num_inference_steps": (10, "INT32", np.int32),
    "guidance_scale": (9.0, "FP32", np.float32),
    "noise_level": (20, "INT32", np.int32),
    "safety_check": (True, "BOOL", np.bool_),
}

OPTIONAL: dict[str, tuple[Any, str, Any]] = {
    "scheduler": (b"", "BYTES", np.object_),
    "step_cache": (1, "INT32", np.int32),
}


def infer(server: Server, image: NDArray[np.uint8], **changes: Any) -> InferResult:
    """One streaming call; raises the error that Triton answers with."""
    tensor = InferInput("image", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image)
    inputs = [tensor]
    given = {**DEFAULTS, **{name: OPTIONAL[name] for name in OPTIONAL.keys() & changes}}
    for name, (value, datatype, dtype) in given.items():
        tensor = InferInput(name, [1], datatype)
        tensor.set_data_from_numpy(np.array([changes.get(name, value)], dtype))
        inputs.append(tensor)
    answers: queue.Queue[tuple[InferResult, InferenceServerException]] = queue.Queue()
    with InferenceServerClient(server.triton_url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("upscale", inputs)
        result, error = answers.get(timeout=60)
        client.stop_stream()
    if error is not None:
        raise error
    return result


@pytest.mark.parametrize("size", [(64, 64), (97, 61)])
def test_gives_the_gateways_pixels(server: Server, size: tuple[int, int]) -> None:
    image = photograph("rocket", *size)
    result = infer(server, np.asarray(image))
    expected = pixels_of(server.upscale(file_of(image), seed=7, num_inference_steps=10))
    assert np.array_equal(result.as_numpy("upscaled"), expected)
    assert result.as_numpy("nsfw").tolist() == [False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0; it must be from 1 to 1000."),
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001;"),
        ({"noise_level": 351}, "noise_level is 351; it must be from 0 to 350."),
        ({"noise_level": -1}, "noise_level is -1;"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan; it must be a number"),
        ({"prompt": b"\xff\xfe"}, "must be UTF-8 text"),
        ({"scheduler": b"Heun"}, "scheduler is Heun; this model has DDIM, EulerDiscrete, PNDM, "),
    ],
)
def test_refuses_bad_values(server: Server, change: dict[str, Any], message: str) -> None:
    image = np.asarray(photograph("rocket", 16, 16))
    with pytest.raises(InferenceServerException, match=message):
        infer(server, image, **change)
    assert infer(server, image).as_numpy("upscaled").shape == (64, 64, 3)
