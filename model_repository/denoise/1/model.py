"""Triton's side of the denoise stage: tensors in, the loop, tensors out."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from diffusers import DDIMScheduler, DDPMScheduler

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.admission import Admission
from stages.job import Caller, InvalidRequest, Job, Progress, Request
from stages.loop import DeadlineExceeded, DenoiseLoop, InsufficientCapacity
from stages.preview import Preview
from stages.schedules import Schedules
from stages.unet import load_unet

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Decoupled: `execute` only hands requests over, the loop's thread answers them."""

    def initialize(self, args: dict[str, str]) -> None:
        # The latents stay where the engine wants them.
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        dims = next(i["dims"] for i in config["input"] if i["name"] == "prompt_embeds")
        self.max_noise_level = int(parameters["max_noise_level"])
        self.has_safety_checker = parameters["safety_checker"] != "none"
        folder = Path(__file__).parent
        schedules = Schedules(DDIMScheduler.from_pretrained(folder / "scheduler"))
        low_res_scheduler = DDPMScheduler.from_pretrained(folder / "low_res_scheduler")

        def make_job(request: Request) -> Job:
            schedule = schedules.get(request.num_inference_steps)
            return Job(request, schedule, low_res_scheduler, device)

        self.preview = Preview(folder / "preview.npy")
        self.metrics = Metrics()
        self.loop = DenoiseLoop(
            load_unet(folder.parents[1] / "unet" / "1", device, parameters["unet"]),
            make_job,
            unet_batch_size=int(parameters["unet_batch_size"]),
            admission=Admission(
                max_active=int(parameters["max_active"]),
                memory_budget_mb=read_memory_budget(parameters["memory_budget_mb"]),
                prompt_embeds_bytes=math.prod(map(int, dims)) * np.float32().nbytes,
            ),
            max_waiting=int(parameters["max_waiting"]),
            on_round=self.metrics.publish,
        )
        self.loop.start()

    def execute(self, requests: list[Any]) -> None:
        for triton_request in requests:
            caller = TritonCaller(triton_request, self.preview)
            try:
                request = read_request(triton_request)
                request.validate(self.max_noise_level)
                if request.safety_check and not self.has_safety_checker:
                    raise InvalidRequest(
                        "safety_check is true, but this repository was exported without a"
                        " safety checker; send safety_check false."
                    )
                self.loop.submit(request, caller)
            except Exception as error:
                caller.fail(error)

    def finalize(self) -> None:
        self.loop.stop()


def read_memory_budget(default: str) -> int:
    """MEMORY_BUDGET_MB of the environment, 10^6 bytes; unset, the configuration's."""
    value = os.environ.get("MEMORY_BUDGET_MB") or default
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"MEMORY_BUDGET_MB={value}: it must be a whole number of megabytes.")
    return int(value)


def read_request(triton_request: Any) -> Request:
    """Copy the inputs out of Triton's memory, which is gone when execute returns.

    The parameter "preview_every" is of a request that wants progress.
    """
    parameters = json.loads(triton_request.parameters())

    def tensor(name: str) -> Any:
        return pb_utils.get_input_tensor_by_name(triton_request, name).as_numpy()

    return Request(
        image=np.array(tensor("image")),
        prompt_embeds=np.array(tensor("prompt_embeds")),
        negative_prompt_embeds=np.array(tensor("negative_prompt_embeds")),
        seed=int(tensor("seed")[0]),
        num_inference_steps=int(tensor("num_inference_steps")[0]),
        guidance_scale=float(tensor("guidance_scale")[0]),
        noise_level=int(tensor("noise_level")[0]),
        safety_check=bool(tensor("safety_check")[0]),
        preview_every=int(parameters.get("preview_every", 0)),
    )


class TritonCaller(Caller):
    """A Triton request that waits for its response, and before it for progress if it asked so."""

    def __init__(self, triton_request: Any, preview: Preview) -> None:
        self._preview = preview
        self._wants_progress = bool(json.loads(triton_request.parameters()).get("progress"))
        self._sender = triton_request.get_response_sender()
        timeout_us = triton_request.timeout()
        self._deadline = time.monotonic() + timeout_us / 1e6 if timeout_us else float("inf")

    def is_cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def is_past_deadline(self) -> bool:
        return time.monotonic() > self._deadline

    def report(self, progress: Progress, denoised: torch.Tensor | None) -> None:
        if not self._wants_progress:
            return
        tensors = [pb_utils.Tensor("progress", np.array(progress, np.int32))]
        if denoised is not None:
            tensors.append(pb_utils.Tensor("preview", self._preview.draw(denoised)))
        self._sender.send(pb_utils.InferenceResponse(tensors))

    def send(self, job: Job) -> None:
        outputs = {
            "latents": job.latents[0].cpu().numpy(),
            "image_size": np.array(job.request.image_size, np.int32),
            "safety_check": np.array([job.request.safety_check]),
        }
        tensors = [pb_utils.Tensor(name, array) for name, array in outputs.items()]
        # Not final at once: that closes the sender also where there is no memory for the tensors.
        self._sender.send(pb_utils.InferenceResponse(tensors))
        self._sender.send(flags=FINAL)

    def fail(self, error: Exception) -> None:
        answer = pb_utils.TritonError(str(error), error_code(error))
        self._sender.send(pb_utils.InferenceResponse([], answer), flags=FINAL)


def error_code(error: Exception) -> Any:
    """Triton's status of an error: https://github.com/triton-inference-server/python_backend."""
    codes = {
        InvalidRequest: pb_utils.TritonError.INVALID_ARG,
        InsufficientCapacity: pb_utils.TritonError.UNAVAILABLE,
        DeadlineExceeded: pb_utils.TritonError.UNAVAILABLE,
        InterruptedError: pb_utils.TritonError.CANCELLED,
    }
    return codes.get(type(error), pb_utils.TritonError.INTERNAL)


class Metrics:
    """The loop's counts in Triton's own /metrics.

    Each number is a message to the server's process and back, as long as all that denoise does in
    a step. So what changes at every step, the calls of unet, waits for a job that comes or leaves,
    or for INTERVAL_S to pass. Before a job is answered they are up to date.
    """

    INTERVAL_S = 0.1

    def __init__(self) -> None:
        self._published_at = float("-inf")
        self._jobs = pb_utils.MetricFamily(
            name="upscale_denoise_jobs",
            description="Jobs in the denoise loop, by state.",
            kind=pb_utils.MetricFamily.GAUGE,
        )
        self._ended = pb_utils.MetricFamily(
            name="upscale_denoise_jobs_total",
            description="Jobs that left the denoise loop, by outcome.",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._unet = pb_utils.MetricFamily(
            name="upscale_denoise_unet_total",
            description="Calls of unet by the denoise loop, and the rows in them.",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._unet_seconds = pb_utils.MetricFamily(
            name="upscale_denoise_unet_seconds_total",
            description="Seconds of these calls; on a GPU, until they are launched.",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._gauges = {s: self._jobs.Metric(labels={"state": s}) for s in ("active", "waiting")}
        self._counters = {
            **{
                outcome: self._ended.Metric(labels={"outcome": outcome})
                for outcome in ("completed", "failed", "cancelled", "expired", "refused")
            },
            **{f"unet_{of}": self._unet.Metric(labels={"of": of}) for of in ("calls", "rows")},
            "unet_seconds": self._unet_seconds.Metric(labels={}),
        }
        self._published: dict[str, float] = dict.fromkeys([*self._gauges, *self._counters], 0)

    def publish(self, loop: DenoiseLoop) -> None:
        """Bring the metrics up to date."""
        values = {"active": loop.active, "waiting": loop.waiting, **vars(loop.counts)}
        now = time.monotonic()
        is_due = now - self._published_at >= self.INTERVAL_S
        if not is_due and all(
            value == self._published[name]
            for name, value in values.items()
            if not name.startswith("unet_")
        ):
            return
        self._published_at = now
        for name, value in values.items():
            change = value - self._published[name]
            if change and name in self._gauges:
                self._gauges[name].set(value)
            elif change:
                self._counters[name].increment(change)
            self._published[name] = value
