"""ONNX Runtime as a Python-based Triton backend, under the name of the native one.

The wheel's Triton has no native ONNX Runtime backend. A model folder with `backend: "onnxruntime"`
and a `model.onnx` is served by either:
https://github.com/triton-inference-server/backend/blob/main/docs/python_based_backends.md
"""

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # Triton adds the model's folder, not this one

from stages.engine_batch import device_of, responses_to
from stages.engines import OnnxEngine


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Configurations are complete already."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self.path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        self.device = device_of(args)
        if config["model_warmup"]:
            _ = self.engine

    @cached_property
    def engine(self) -> OnnxEngine:
        """Loaded by the first call where nothing warms it up: denoise runs that of unet itself."""
        return OnnxEngine(self.path, self.device, self.outputs)

    def execute(self, requests: list[Any]) -> list[Any]:
        return responses_to(requests, self.inputs, self.outputs, self.engine)
