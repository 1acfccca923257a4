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
from numpy.typing import NDArray

# Values of the largest input in one run: one row of unet at 128 x 128, two of vae_decoder. Memory
# grows with the rows of a run, and on a CPU more rows are no faster.
RUN_SIZE = 2**17


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Configurations are complete already."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        # Shapes vary, and a plan for each takes twice the memory.
        options.enable_mem_pattern = False
        # Sessions take turns on the same cores; one that spins takes them from the next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """All requests as one batch; the dynamic batcher only joins equal shapes."""
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
        results = self.run(batch)
        ends = np.cumsum([len(row[self.inputs[0]]) for row in rows])
        parts = [np.split(result, ends[:-1]) for result in results]
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, part) for name, part in zip(self.outputs, own, strict=True)]
            )
            for own in zip(*parts, strict=True)
        ]

    def run(self, batch: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The batch in runs of bounded memory; each array is [rows, ...]."""
        rows = len(batch[self.inputs[0]])
        step = max(1, RUN_SIZE // max(array[0].size for array in batch.values()))
        parts = [
            self.session.run(
                self.outputs, {name: array[i : i + step] for name, array in batch.items()}
            )
            for i in range(0, rows, step)
        ]
        return (
            parts[0] if len(parts) == 1 else [np.concatenate(p) for p in zip(*parts, strict=True)]
        )
