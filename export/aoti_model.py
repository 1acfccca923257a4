"""What runs an AOTInductor package in Triton: the export copies it beside one, as its `model.py`.

NVIDIA's containers have a backend for packages, `platform: "torch_aoti"`, but it takes no batches
and has its own names for tensors (`KWARGS[sample]`). Not tried on a GPU yet.
"""

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.engine_batch import device_of, responses_to
from stages.engines import PACKAGE, AotiEngine, Batch
from stages.machine import machine_refusal


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"])
        if why := machine_refusal(folder.parent, [folder.name]):
            raise pb_utils.TritonModelException(why)
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        self.package = folder / args["model_version"] / PACKAGE
        self.device = device_of(args)
        if config["model_warmup"]:
            _ = self.engine

    @cached_property
    def engine(self) -> AotiEngine:
        """Loaded by the first call where nothing warms it up: denoise runs that of unet itself."""
        return AotiEngine(self.package, self.device)

    def execute(self, requests: list[Any]) -> list[Any]:
        return responses_to(requests, self.inputs, self.outputs, self.run)

    def run(self, batch: Batch) -> list[Any]:
        """Ready when it returns, because Triton copies on a stream of its own."""
        outputs: list[Any] = self.engine(batch)
        if self.engine.device != "cpu":
            torch.cuda.synchronize(self.engine.device)
        return outputs
