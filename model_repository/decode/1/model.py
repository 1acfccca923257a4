"""Triton's side of the decode stage: latents in, vae_decoder and safety_checker, an image out."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.bls import call_model
from stages.clip_pixels import ClipPixels
from stages.errors import Cancelled, NoSafetyChecker, OutOfMemory
from stages.limits import SCALE
from stages.mosaic import Mosaic
from stages.soundness import check_picture, check_tile
from stages.tiles import checked_max_tile, refuse_past_plan
from stages.triton_errors import error_response

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Decoupled: before its picture a request hears of its tiles, if it asked so."""

    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.batch_size = int(parameters["vae_batch_size"]["string_value"])
        value = os.environ.get("DECODER_MAX_TILE") or parameters["max_tile"]["string_value"]
        self.max_tile = checked_max_tile("DECODER_MAX_TILE", value)
        decoder_folder = Path(__file__).parents[2] / "vae_decoder" / "1"
        refuse_past_plan("DECODER_MAX_TILE", self.max_tile, decoder_folder)
        self.clip_pixels: ClipPixels | None = None
        if parameters["safety_checker"]["string_value"] != "none":
            path = Path(__file__).parent / "preprocessor_config.json"
            self.clip_pixels = ClipPixels.from_file(path)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            self.respond(request)

    def respond(self, request: Any) -> None:
        caller = Caller(request)
        try:
            caller.send(*self.decode(request, caller))
        except Exception as error:  # of this request alone
            caller.end(error_response(error))
        else:
            caller.end()

    def decode(self, request: Any, caller: "Caller") -> Any:
        latents, image, safety_check = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("latents", "image", "safety_check")
        )
        if safety_check[0] and self.clip_pixels is None:
            raise NoSafetyChecker
        upscaled = self.upscaled_image(latents, image, caller)
        check_picture(upscaled, image)
        nsfw = bool(safety_check[0]) and self.is_nsfw(upscaled, caller.trace)
        return pb_utils.Tensor("upscaled", upscaled), pb_utils.Tensor("nsfw", np.array([nsfw]))

    def upscaled_image(
        self, latents: NDArray[np.float32], image: NDArray[np.uint8], caller: "Caller"
    ) -> NDArray[np.uint8]:
        """latents [4, h, w] -> uint8 [4 H, 4 W, 3], without denoise's padding.

        image: what it is made of, uint8 [H, W, 3]. Raises BrokenPicture.
        """
        height, width = image.shape[:2]
        latents_size = latents.shape[1], latents.shape[2]
        mosaic = Mosaic(latents_size, (SCALE * height, SCALE * width), self.max_tile)
        done = 0
        for tiles in mosaic.batches(self.batch_size):
            caller.report(done, mosaic.tiles)
            windows = np.stack([tile.window(latents) for tile in tiles])
            for tile, picture in zip(tiles, decoded(windows, caller.trace), strict=True):
                check_tile(picture, image[tile.vertical.latents, tile.horizontal.latents])
                mosaic.add_tile(tile, picture)
            done += len(tiles)
        caller.report(done, mosaic.tiles)
        return mosaic.image

    def is_nsfw(self, upscaled: NDArray[np.uint8], trace: Any) -> bool:
        assert self.clip_pixels is not None
        pixel_values = self.clip_pixels(upscaled)[None]
        scores = call_engine(
            "safety_checker", "pixel_values", pixel_values, "concept_scores", trace
        )
        return bool((scores > 0).any())


class Caller:
    """Who waits for the picture. trace: Triton's, of the request."""

    def __init__(self, request: Any) -> None:
        self.trace = request.trace()
        self._wants_progress = bool(json.loads(request.parameters()).get("progress"))
        self._sender = request.get_response_sender()

    def report(self, done: int, tiles: int) -> None:
        """So many of the tiles are decoded. Raises Cancelled when nobody waits any more."""
        if self._wants_progress:
            self.send(pb_utils.Tensor("progress", np.array([done, tiles], np.int32)))
        elif self._sender.is_cancelled():
            raise Cancelled("the caller went away")

    def send(self, *tensors: Any) -> None:
        """Not to who went away: what is sent there keeps Triton from ending in time."""
        if self._sender.is_cancelled():
            raise Cancelled("the caller went away")
        # Not final at once: that closes the sender also where there is no memory for the tensors.
        self._sender.send(pb_utils.InferenceResponse(list(tensors)))

    def end(self, response: Any = None) -> None:
        self._sender.send(response, flags=FINAL)


def decoded(windows: NDArray[np.float32], trace: Any) -> list[NDArray[np.uint8]]:
    """Tiles [n, 4, h, w] -> their images, in one call or, where it has no memory, in halves."""
    try:
        return list(call_engine("vae_decoder", "latents", windows, "image", trace))
    except OutOfMemory:
        half = len(windows) // 2
        if not half:
            raise
        return decoded(windows[:half], trace) + decoded(windows[half:], trace)


def call_engine(
    name: str, input_name: str, array: NDArray[np.float32], output_name: str, trace: Any
) -> NDArray[Any]:
    """Rows in, rows out, copied out of Triton's memory; trace: of the request that it is for."""
    inputs = [pb_utils.Tensor(input_name, np.ascontiguousarray(array))]
    [output] = call_model(name, inputs, [output_name], trace=trace)
    return np.array(output.as_numpy())
