"""Triton's side of the encode stage: prompts in, text_encoder, embeddings out."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.bls import call_model
from stages.errors import InvalidRequest
from stages.prompt_tokens import PromptTokens
from stages.triton_errors import error_response

PROMPTS = ("prompt", "negative_prompt")


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.tokens = PromptTokens(Path(__file__).parent / "tokenizer.json")

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.respond(request) for request in requests]

    def respond(self, request: Any) -> Any:
        try:
            return self.encode(request)
        except Exception as error:  # of this request alone
            return error_response(error)

    def encode(self, request: Any) -> Any:
        input_ids = self.tokens([read_text(request, name) for name in PROMPTS])
        inputs = [pb_utils.Tensor("input_ids", input_ids)]
        [output] = call_model("text_encoder", inputs, ["prompt_embeds"], trace=request.trace())
        embeds = np.array(output.as_numpy())  # the memory is Triton's, as long as its answer lives
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(f"{name}_embeds", row)
                for name, row in zip(PROMPTS, embeds, strict=True)
            ]
        )


def read_text(request: Any, name: str) -> str:
    """Raises InvalidRequest for bytes that are no text."""
    value: bytes = pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("prompt and negative_prompt must be UTF-8 text.") from error
