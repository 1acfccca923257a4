"""Engines as models of Triton's, called by its BLS ("business logic scripting")."""

import logging
from collections.abc import Sequence
from typing import Any

import triton_python_backend_utils as pb_utils

from stages.errors import engine_error

logger = logging.getLogger("stages")


def call_model(
    name: str, inputs: "list[pb_utils.Tensor]", outputs: Sequence[str], **options: Any
) -> "list[pb_utils.Tensor]":
    """One call, to the tensors of these names. They share their memory with Triton's answer.

    options: `trace` of the request that it is for; `preferred_memory` of the outputs, the host's
    unless told otherwise: an engine on a GPU leaves them there, where NumPy cannot read them.
    Raises EngineFailed, which may be OutOfMemory.
    """
    options.setdefault(
        "preferred_memory", pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0)
    )
    response = pb_utils.InferenceRequest(
        model_name=name, requested_output_names=list(outputs), inputs=inputs, **options
    ).exec()
    if response.has_error():
        message = response.error().message()
        logger.warning("%s: %s", name, message)
        raise engine_error(name, message)
    return [pb_utils.get_output_tensor_by_name(response, output) for output in outputs]
