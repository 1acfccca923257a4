"""Engines as models of Triton's, called by its BLS ("business logic scripting")."""

import logging
from typing import Any

import triton_python_backend_utils as pb_utils

from stages.errors import engine_error

logger = logging.getLogger("stages")


def call_model(
    name: str, inputs: "list[pb_utils.Tensor]", output: str, **options: Any
) -> "pb_utils.Tensor":
    """One call, to the tensor of that name. It shares its memory with Triton's answer.

    options: `trace` of the request that it is for; `preferred_memory` of the output, the host's
    unless told otherwise: an engine on a GPU leaves it there, where NumPy cannot read it.
    Raises EngineFailed, which may be OutOfMemory.
    """
    options.setdefault(
        "preferred_memory", pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0)
    )
    response = pb_utils.InferenceRequest(
        model_name=name, requested_output_names=[output], inputs=inputs, **options
    ).exec()
    if response.has_error():
        message = response.error().message()
        logger.warning("%s: %s", name, message)
        raise engine_error(name, message)
    return pb_utils.get_output_tensor_by_name(response, output)
