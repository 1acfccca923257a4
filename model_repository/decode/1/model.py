"""Triton's side of the decode stage: latents in, vae_decoder and safety_checker, an image out."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.clip_pixels import ClipPixels
from stages.mosaic import SCALE, Mosaic


class EngineError(Exception):
    """An engine's answer to a BLS call was an error."""


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.batch_size = int(parameters["vae_batch_size"]["string_value"])
        self.clip_pixels: ClipPixels | None = None
        if parameters["safety_checker"]["string_value"] != "none":
            path = Path(__file__).parent / "preprocessor_config.json"
            self.clip_pixels = ClipPixels.from_file(path)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.respond(request) for request in requests]

    def respond(self, request: Any) -> Any:
        latents, image_size, safety_check = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("latents", "image_size", "safety_check")
        )
        if safety_check[0] and self.clip_pixels is None:
            message = (
                "safety_check is true, but this repository was exported without a safety"
                " checker; send safety_check false."
            )
            error = pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse([], error)
        try:
            size = int(image_size[0]), int(image_size[1])
            upscaled = self.decode(latents, *size, request.trace())
            nsfw = bool(safety_check[0]) and self.check(upscaled, request.trace())
        except EngineError as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("upscaled", upscaled), pb_utils.Tensor("nsfw", np.array([nsfw]))]
        )

    def decode(
        self, latents: NDArray[np.float32], height: int, width: int, trace: Any
    ) -> NDArray[np.uint8]:
        """latents [4, h, w] -> uint8 [4 * height, 4 * width, 3], without denoise's padding."""
        mosaic = Mosaic(latents.shape[1:], (SCALE * height, SCALE * width))
        for tiles in mosaic.batches(self.batch_size):
            windows = [latents[:, rows.latents, columns.latents] for rows, columns in tiles]
            images = call("vae_decoder", "latents", np.stack(windows), "image", trace)
            for tile, image in zip(tiles, images, strict=True):
                mosaic.add(tile, image)
        return mosaic.image

    def check(self, upscaled: NDArray[np.uint8], trace: Any) -> bool:
        assert self.clip_pixels is not None
        pixel_values = self.clip_pixels(upscaled)
        scores = call("safety_checker", "pixel_values", pixel_values[None], "concept_scores", trace)
        return bool((scores > 0).any())


def call(
    engine: str,
    input_name: str,
    array: NDArray[np.float32],
    output_name: str,
    trace: Any,
) -> NDArray[Any]:
    """One call of an engine by BLS, rows first; trace: of the request that it is for."""
    response = pb_utils.InferenceRequest(
        model_name=engine,
        requested_output_names=[output_name],
        inputs=[pb_utils.Tensor(input_name, np.ascontiguousarray(array))],
        trace=trace,
    ).exec()
    if response.has_error():
        raise EngineError(f"{engine}: {response.error().message()}")
    output = pb_utils.get_output_tensor_by_name(response, output_name)
    return np.array(output.as_numpy())
