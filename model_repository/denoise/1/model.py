"""Triton's side of the denoise stage: tensors in, the loop, tensors out."""

import json
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.admission import Admission
from stages.errors import NoSafetyChecker
from stages.job import Job
from stages.loop import DenoiseLoop
from stages.preview import Preview
from stages.request import Request
from stages.schedulers import Schedulers, read_schedulers
from stages.schedules import Schedules
from stages.step_cache import StepCache, read_step_cache
from stages.tiles import refuse_past_plan
from stages.triton_caller import TritonCaller
from stages.triton_metrics import Metrics
from stages.unet import load_unet, max_tile_of, read_device, rows_at_once


class TritonPythonModel:
    """Decoupled: `execute` only hands requests over, a thread beside the loop answers them."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        dims = next(i["dims"] for i in config["input"] if i["name"] == "prompt_embeds")
        self.max_noise_level = int(parameters["max_noise_level"])
        self.has_safety_checker = parameters["safety_checker"] != "none"
        folder = Path(__file__).parent
        self.schedulers = read_schedulers(parameters["schedulers"])
        self.step_cache = read_step_cache(parameters.get("step_cache"))
        schedules = Schedules(folder)
        wanted = read_device(parameters["device"])
        unet_folder = folder.parents[1] / "unet" / "1"
        unet = load_unet(
            unet_folder,
            wanted,
            parameters["unet"],
            parameters["cuda_graphs"],
            has_step_cache=self.step_cache is not None,
        )
        value = os.environ.get("MAX_TILE") or parameters["max_tile"]
        self.max_tile = max_tile_of(value, unet_folder, unet.device)
        refuse_past_plan("MAX_TILE", self.max_tile, unet_folder)

        def start_job(job: Job) -> None:
            job.start(
                schedules.schedule_of(job.request.num_inference_steps, job.request.scheduler),
                schedules.noise_factors_of(job.request.noise_level),
                unet.device,  # the latents stay where the engine wants them
            )

        self.preview = Preview(folder / "preview.npy")
        self.metrics = Metrics()
        self.loop = DenoiseLoop(
            unet,
            start_job,
            unet_batch_size=rows_at_once(int(parameters["unet_batch_size"]), unet.device),
            admission=Admission(
                max_active=int(parameters["max_active"]),
                memory_budget_mb=read_memory_budget(parameters["memory_budget_mb"]),
                prompt_embeds_bytes=math.prod(map(int, dims)) * np.float32().nbytes,
                max_tile=self.max_tile,
                step_cache=self.step_cache,
            ),
            max_waiting=int(parameters["max_waiting"]),
            on_round=self.metrics.publish,
            starter=ThreadPoolExecutor(1, "denoise-start"),
            reporter=ThreadPoolExecutor(1, "denoise-report"),
        )
        self.loop.start()

    def execute(self, requests: list[Any]) -> None:
        for triton_request in requests:
            caller = TritonCaller(triton_request, self.preview)
            try:
                request = read_request(
                    triton_request, self.max_tile, self.schedulers, self.step_cache
                )
                request.validate(self.max_noise_level)
                if request.safety_check and not self.has_safety_checker:
                    raise NoSafetyChecker
                self.loop.submit(request, caller)
            except Exception as error:  # else its caller would wait without end
                caller.fail(error)

    def finalize(self) -> None:
        self.loop.stop()
        self.metrics.close()


def read_memory_budget(default: str) -> int:
    """MEMORY_BUDGET_MB of the environment, 10^6 bytes; unset, the configuration's."""
    value = os.environ.get("MEMORY_BUDGET_MB") or default
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"MEMORY_BUDGET_MB={value}: it must be a whole number of megabytes.")
    return int(value)


def read_request(
    triton_request: Any, max_tile: int, schedulers: Schedulers, step_cache: StepCache | None
) -> Request:
    """Copy the inputs out of Triton's memory, which is gone when execute returns.

    The parameter "preview_every" is of a request that wants progress. Raises InvalidRequest for a
    scheduler that there is not.
    """
    parameters = json.loads(triton_request.parameters())

    def tensor(name: str) -> Any:
        return pb_utils.get_input_tensor_by_name(triton_request, name).as_numpy()

    # None where they are not given.
    scheduler, interval = (
        pb_utils.get_input_tensor_by_name(triton_request, name)
        for name in ("scheduler", "step_cache")
    )
    name = "" if scheduler is None else scheduler.as_numpy()[0].decode("utf-8", "replace")
    return Request(
        image=np.array(tensor("image")),
        prompt_embeds=np.array(tensor("prompt_embeds")),
        negative_prompt_embeds=np.array(tensor("negative_prompt_embeds")),
        seed=int(tensor("seed")[0]),
        num_inference_steps=int(tensor("num_inference_steps")[0]),
        guidance_scale=float(tensor("guidance_scale")[0]),
        noise_level=int(tensor("noise_level")[0]),
        safety_check=bool(tensor("safety_check")[0]),
        scheduler=schedulers.named(name),
        preview_every=int(parameters.get("preview_every", 0)),
        max_tile=max_tile,
        step_cache=step_cache,
        cache_interval=1 if interval is None else int(interval.as_numpy()[0]),
    )
