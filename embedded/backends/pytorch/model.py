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
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # Triton adds the model's folder, not this one

from engine_batch import Batch, device_of, respond, run_in_parts
from machine import refusal


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Configurations are complete already."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"])
        if why := refusal(folder.parent, [folder.name]):
            raise pb_utils.TritonModelException(why)
        self.device = device_of(args)
        index = int(args["model_instance_device_id"]) if self.device != "cpu" else -1
        path = folder / args["model_version"] / "model.pt2"
        self.package = torch._inductor.aoti_load_package(str(path), device_index=index)
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        run = self.run_on_gpu if self.device != "cpu" else self.run
        return respond(requests, self.inputs, self.outputs, run)

    def run(self, batch: Batch) -> list[NDArray[Any]]:
        """On the CPU, in parts of bounded memory."""
        return run_in_parts(batch, lambda part: [self.call(part).numpy()])

    def run_on_gpu(self, batch: Batch) -> list[torch.Tensor]:
        """All at once; ready when it returns, because Triton copies on a stream of its own."""
        output = self.call(batch)
        torch.cuda.synchronize(self.device)
        return [output]

    def call(self, batch: Batch) -> torch.Tensor:
        """The networks have one output each."""
        tensors = {
            name: torch.as_tensor(array, device=self.device).contiguous()
            for name, array in batch.items()
        }
        output: torch.Tensor = self.package(**tensors)
        return output
