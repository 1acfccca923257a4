"""The model.py of a `unet` with memory for MAX_ROWS rows, which fails past them as torch does.

A row of more than MAX_PIXELS latent pixels has none at all.

Tests copy it beside model.onnx.
"""

from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils

MAX_ROWS = 4
MAX_PIXELS = 128 * 128


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.respond(request) for request in requests]

    def respond(self, request: Any) -> Any:
        names = [entry.name for entry in self.session.get_inputs()]
        inputs = {n: pb_utils.get_input_tensor_by_name(request, n).as_numpy() for n in names}
        rows, _, height, width = inputs["sample"].shape
        if rows > MAX_ROWS or height * width > MAX_PIXELS:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 is full.")
        [out_sample] = self.session.run(["out_sample"], inputs)
        return pb_utils.InferenceResponse([pb_utils.Tensor("out_sample", out_sample)])
