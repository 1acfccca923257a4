"""Inputs for each Triton model, made from a photograph by the stages before it."""

import base64
import json
import queue
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

Tensors = dict[str, NDArray[Any]]
TIMESTEP = 500  # of a UNet call; any takes the same time


def captured(
    client: InferenceServerClient, image: Image.Image, steps: int, *, safety_check: bool
) -> dict[str, Tensors]:
    """The inputs of every model by its name, without a batch axis; runs each stage once."""
    upscale: Tensors = {
        "image": np.asarray(image),
        "prompt": np.array([b"a photo"], np.object_),
        "negative_prompt": np.array([b""], np.object_),
        "seed": np.array([0], np.int64),
        "num_inference_steps": np.array([steps], np.int32),
        **defaults(client),
        "safety_check": np.array([safety_check]),
    }
    encode = {name: upscale.pop(name) for name in ("prompt", "negative_prompt")}
    prompts = infer(client, "encode", encode, ("prompt_embeds", "negative_prompt_embeds"))
    denoise = {**upscale, **prompts}
    decode = infer(client, "denoise", denoise, ("latents", "image", "safety_check"))
    picture = infer(client, "decode", decode, ("upscaled",))["upscaled"]
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1
    latents = decode["latents"]
    padding = [(0, 0), *((0, latents.shape[axis] - pixels.shape[axis]) for axis in (1, 2))]
    return {
        "upscale": {**upscale, **encode},
        "encode": encode,
        "denoise": denoise,
        "decode": decode,
        "text_encoder": {"input_ids": np.zeros(77, np.int64)},
        "unet": {
            "sample": np.concatenate([latents, np.pad(pixels, padding, "edge")]),
            "timestep": np.array([TIMESTEP], np.float32),
            "encoder_hidden_states": prompts["prompt_embeds"],
            "class_labels": denoise["noise_level"].astype(np.int64),
        },
        "vae_decoder": {"latents": latents},
        "safety_checker": {"pixel_values": pixel_values(client, picture)},
    }


def defaults(client: InferenceServerClient) -> Tensors:
    """What the gateway fills in where a request says nothing."""
    parameters = client.get_model_config("upscale").config.parameters
    return {
        "guidance_scale": np.array([float(parameters["guidance_scale"].string_value)], np.float32),
        "noise_level": np.array([int(parameters["noise_level"].string_value)], np.int32),
    }


def pixel_values(client: InferenceServerClient, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as the safety checker takes it, but for mean and deviation."""
    config = client.get_model_config("safety_checker").config
    height, width = config.input[0].dims[1:]
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 255


def infer(
    client: InferenceServerClient, model: str, tensors: Tensors, outputs: tuple[str, ...]
) -> Tensors:
    """One call over a stream, as decoupled models need. Raises Triton's error."""
    inputs = []
    for name, array in tensors.items():
        inputs.append(InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    answers: queue.Queue[tuple[InferResult, InferenceServerException | None]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        client.async_stream_infer(model, inputs)
        result, error = answers.get()
    finally:
        client.stop_stream()
    if error is not None:
        raise error
    return {name: result.as_numpy(name) for name in outputs}


def write_input_data(path: Path, tensors: Tensors) -> None:
    """perf_analyzer's input file: strings as they are, everything else as base64 of its bytes."""
    content = {
        name: [text.decode() for text in array]
        if array.dtype == np.object_
        else {
            "content": {"b64": base64.b64encode(array.tobytes()).decode()},
            "shape": list(array.shape),
        }
        for name, array in tensors.items()
    }
    path.write_text(json.dumps({"data": [content]}))
