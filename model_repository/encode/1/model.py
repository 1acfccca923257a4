"""Triton's side of the encode stage: prompts in, text_encoder, embeddings out."""

import sys
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))  # these stages, before any other of the name

from stages.prompt_tokens import PromptTokens


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.tokens = PromptTokens(Path(__file__).parent / "tokenizer.json")

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.encode(request) for request in requests]

    def encode(self, request: Any) -> Any:
        try:
            prompts = [read_text(request, name) for name in ("prompt", "negative_prompt")]
        except UnicodeDecodeError:
            message = "prompt and negative_prompt must be UTF-8 text."
            error = pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse([], error)
        response = pb_utils.InferenceRequest(
            model_name="text_encoder",
            requested_output_names=["prompt_embeds"],
            inputs=[pb_utils.Tensor("input_ids", self.tokens(prompts))],
            trace=request.trace(),
        ).exec()
        if response.has_error():
            return pb_utils.InferenceResponse([], response.error())
        embeds = pb_utils.get_output_tensor_by_name(response, "prompt_embeds").as_numpy()
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("prompt_embeds", embeds[0]),
                pb_utils.Tensor("negative_prompt_embeds", embeds[1]),
            ]
        )


def read_text(request: Any, name: str) -> str:
    value: bytes = pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]
    return value.decode("utf-8")
