"""ONNX Runtime as a Python-based Triton backend, under the name of the native one.

The wheel's Triton has no native ONNX Runtime backend. A model folder with `backend: "onnxruntime"`
and a `model.onnx` is served by either:
https://github.com/triton-inference-server/backend/blob/main/docs/python_based_backends.md
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # Triton adds the model's folder, not this one

from engine_batch import Batch, device_of, respond, run_in_parts


def providers_for(device: str, available: list[str]) -> list[Any]:
    """CUDA where Triton wants the instance on a GPU and the package onnxruntime-gpu is there.

    Convolutions are chosen by rule: a search would stall the first request of every size.
    """
    if device == "cpu" or "CUDAExecutionProvider" not in available:
        return ["CPUExecutionProvider"]
    options = {"device_id": device.removeprefix("cuda:"), "cudnn_conv_algo_search": "HEURISTIC"}
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


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
        self.device = device_of(args)
        providers = providers_for(self.device, onnxruntime.get_available_providers())
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        if "CUDAExecutionProvider" not in self.session.get_providers():
            self.device = "cpu"
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        run = self.run if self.device == "cpu" else self.run_bound
        return respond(requests, self.inputs, self.outputs, run)

    def run(self, batch: Batch) -> list[NDArray[Any]]:
        """On the CPU, in parts of bounded memory."""
        arrays = {name: np.asarray(array) for name, array in batch.items()}
        return run_in_parts(arrays, lambda part: self.session.run(self.outputs, part))

    def run_bound(self, batch: Batch) -> list[Any]:
        """All at once, with inputs and outputs on the device; not tried on a GPU yet."""
        import torch  # noqa: PLC0415 - 200 MB that the CPU does without
        from torch.utils.dlpack import from_dlpack  # noqa: PLC0415

        kind, _, index = self.device.partition(":")
        binding = self.session.io_binding()
        tensors = {
            name: torch.as_tensor(array, device=self.device).contiguous()
            for name, array in batch.items()
        }
        if kind == "cuda":
            torch.cuda.synchronize(self.device)  # ONNX Runtime works on a stream of its own
        for name, tensor in tensors.items():
            dtype = np.int64 if tensor.dtype == torch.int64 else np.float32
            shape = tuple(tensor.shape)
            binding.bind_input(name, kind, int(index or 0), dtype, shape, tensor.data_ptr())
        for name in self.outputs:
            binding.bind_output(name, kind, int(index or 0))
        self.session.run_with_iobinding(binding)
        return [from_dlpack(value) for value in binding.get_outputs()]
