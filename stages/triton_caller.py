"""Who waits for denoise: a request of Triton's."""

import json
import time
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from stages.preview import Preview
from stages.request import Caller, Progress, Request
from stages.soundness import check_latents
from stages.triton_errors import error_response

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonCaller(Caller):
    """A Triton request that waits for its response, and before it for progress if it asked so."""

    def __init__(self, triton_request: Any, preview: Preview) -> None:
        self._preview = preview
        self.wants_progress = bool(json.loads(triton_request.parameters()).get("progress"))
        self._sender = triton_request.get_response_sender()
        timeout_us = triton_request.timeout()
        self._deadline = time.monotonic() + timeout_us / 1e6 if timeout_us else float("inf")

    def is_cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def is_past_deadline(self) -> bool:
        return time.monotonic() > self._deadline

    def report(self, progress: Progress, denoised: torch.Tensor | None) -> None:
        tensors = [pb_utils.Tensor("progress", np.array(progress, np.int32))]
        if denoised is not None:
            tensors.append(pb_utils.Tensor("preview", self._preview.draw(denoised)))
        self._sender.send(pb_utils.InferenceResponse(tensors))

    def send(self, request: Request, latents: torch.Tensor) -> None:
        made = latents[0].cpu().numpy()
        check_latents(made)
        outputs = {
            "latents": made,
            "image": request.image,
            "safety_check": np.array([request.safety_check]),
            "max_tile": np.array([request.max_tile], np.int32),
        }
        tensors = [pb_utils.Tensor(name, array) for name, array in outputs.items()]
        # Not final at once: that closes the sender also where there is no memory for the tensors.
        self._sender.send(pb_utils.InferenceResponse(tensors))
        self._sender.send(flags=FINAL)

    def fail(self, error: Exception) -> None:
        self._sender.send(error_response(error), flags=FINAL)
