"""AOTInductor packages as a Python-based Triton backend: `backend: "pytorch"` and a `model.pt2`.

The wheel's Triton has no such backend. That of NVIDIA's containers, `platform: "torch_aoti"`, takes
no batches and has its own names for tensors (`KWARGS[sample]`), so there too this one serves: its
folder goes in the place of /opt/tritonserver/backends/pytorch. Not tried on a GPU yet.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))  # Triton adds the model's folder, not this one

from stages.engine_batch import device_of, responses_to
from stages.engines import AotiEngine, Batch
from stages.machine import machine_refusal


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Configurations are complete already."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"])
        if why := machine_refusal(folder.parent, [folder.name]):
            raise pb_utils.TritonModelException(why)
        path = folder / args["model_version"] / "model.pt2"
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        self.engine = AotiEngine(path, device_of(args))

    def execute(self, requests: list[Any]) -> list[Any]:
        return responses_to(requests, self.inputs, self.outputs, self.run)

    def run(self, batch: Batch) -> list[Any]:
        """Ready when it returns, because Triton copies on a stream of its own."""
        outputs: list[Any] = self.engine(batch)
        if self.engine.device != "cpu":
            torch.cuda.synchronize(self.engine.device)
        return outputs
