"""ONNX Runtime as a Python-based Triton backend, under the name of the native one.

The wheel's Triton has no native ONNX Runtime backend. A model folder with `backend: "onnxruntime"`
and a `model.onnx` is served by either:
https://github.com/triton-inference-server/backend/blob/main/docs/python_based_backends.md
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Configurations are complete already."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        # Sessions take turns on the same cores; one that spins takes them from the next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """One run for all requests; the dynamic batcher only joins equal shapes."""
        rows = [
            {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self.inputs
            }
            for request in requests
        ]
        batch = {
            name: rows[0][name] if len(rows) == 1 else np.concatenate([row[name] for row in rows])
            for name in self.inputs
        }
        results = self.session.run(self.outputs, batch)
        ends = np.cumsum([len(row[self.inputs[0]]) for row in rows])
        parts = [np.split(result, ends[:-1]) for result in results]
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, part) for name, part in zip(self.outputs, own, strict=True)]
            )
            for own in zip(*parts, strict=True)
        ]
