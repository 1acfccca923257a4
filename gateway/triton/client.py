"""The three stages over Triton's gRPC. Tensor names appear here and in the repository only."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from gateway.errors import UnknownModel
from gateway.http.request_id import current_id
from gateway.images.color_fix import ColorFix
from gateway.telemetry.durations import timed
from gateway.telemetry.traces import trace_headers
from gateway.triton.errors import translated
from gateway.triton.served_model import DenoiseLimits, ServedModel, served_model_of
from stages.schedulers import DDIM, Scheduler
from stages.tiles import MAX_TILE

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A Triton that is started again is to be found soon; by default the pause grows to minutes.
    ("grpc.max_reconnect_backoff_ms", 500),
]


@dataclass(frozen=True)
class UpscaleInputs:
    """One request, its defaults filled in. model: whose they are. image: RGB uint8 [H, W, 3]."""

    model: ServedModel
    image: NDArray[np.uint8]
    prompt: str
    negative_prompt: str
    seed: int
    num_inference_steps: int
    guidance_scale: float
    noise_level: int
    safety_check: bool
    color_fix: ColorFix = "none"  # the gateway's, not Triton's
    scheduler: Scheduler = DDIM
    scheduler_name: str = ""  # as it was asked for; empty: the model's own
    step_cache: int = 1  # steps from one call of the whole UNet to the next


@dataclass(frozen=True)
class Upscaled:
    """image: RGB uint8 [4H, 4W, 3]. nsfw: False too when no check was asked for."""

    image: NDArray[np.uint8]
    nsfw: bool


@dataclass(frozen=True)
class Progress:
    """step of steps are done; tiles count as steps. preview: RGB uint8 [h, w, 3], at times."""

    step: int
    steps: int
    preview: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Decoding:
    """tile of tiles of the finished latents are decoded."""

    tile: int
    tiles: int


@dataclass(frozen=True)
class ModelStatistics:
    """Of one Triton model since it was loaded.

    rows: of all batches. executions: batches. compute_s, queue_s: seconds, added up over requests.
    """

    name: str
    rows: int
    executions: int
    compute_s: float
    queue_s: float


OnProgress = Callable[[Progress | Decoding], None]


class TritonClient:
    """Calls encode, denoise and decode one after the other.

    Not the ensemble: cancelling that does not stop the stage that runs (Triton server #6739), while
    cancelling a stream to denoise does within a step.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.max_tile = MAX_TILE  # latent pixels of the largest tile, as denoise last said
        self._client = InferenceServerClient(url, channel_args=CHANNEL_OPTIONS)

    async def close(self) -> None:
        await self._client.close()

    async def live(self) -> None:
        """Return when Triton answers. Raises TritonFailed when it cannot be reached."""
        try:
            await self._client.is_server_live()
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error) from error

    async def served_model(self) -> ServedModel:
        """Raises TritonFailed while Triton serves no `upscale`, UnknownModel for another's."""
        try:
            response = await self._client.get_model_config("upscale")
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error) from error
        values = {key: value.string_value for key, value in response.config.parameters.items()}
        try:
            return served_model_of(values)
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownModel(
                f"The model `upscale` at {self._url} was not written by `upscale export`, whose"
                f" parameters it lacks or has otherwise ({error}); serve a repository that was."
            ) from error

    async def denoise_limits(self) -> DenoiseLimits:
        """What its configuration says. Raises TritonFailed."""
        try:
            config = (await self._client.get_model_config("denoise")).config
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error) from error
        embeds = next(tensor for tensor in config.input if tensor.name == "prompt_embeds")
        return DenoiseLimits(
            int(config.parameters["max_active"].string_value), tuple(map(int, embeds.dims))
        )

    async def statistics(self) -> list[ModelStatistics]:
        """Of every model but the ensemble, which has none of its own. Raises TritonFailed."""
        try:
            response = await self._client.get_inference_statistics()
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error) from error
        return [
            ModelStatistics(
                name=model.name,
                rows=model.inference_count,
                executions=model.execution_count,
                compute_s=sum(batch.compute_infer.ns for batch in model.batch_stats) / 1e9,
                queue_s=model.inference_stats.queue.ns / 1e9,
            )
            for model in response.model_stats
            if model.name != "upscale"
        ]

    async def upscale(
        self,
        inputs: UpscaleInputs,
        timeout_s: float,
        on_progress: OnProgress | None = None,
        preview_every: int = 0,
    ) -> Upscaled:
        """Encode, denoise, decode. Cancelling it cancels the stage that runs.

        timeout_s: after which denoise drops the job. on_progress: called after every step, with a
        preview after every so many, then before, between and after the calls of the decoder.
        Raises InsufficientCapacity, InvalidRequest, ImageTooLarge, TritonFailed, or TimeoutError
        where denoise has dropped the job.
        """
        try:
            with timed("encode"):
                prompts = await self._encode(inputs)
            with timed("denoise"):
                latents = await self._denoise(
                    inputs, prompts, timeout_s, on_progress, preview_every
                )
            with timed("decode"):
                return await self._decode(latents, on_progress)
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error) from error

    async def _encode(self, inputs: UpscaleInputs) -> InferResult:
        texts = {"prompt": inputs.prompt, "negative_prompt": inputs.negative_prompt}
        tensors = [
            _tensor(name, [text.encode("utf-8", "replace")], np.object_)
            for name, text in texts.items()
        ]
        return await self._infer("encode", tensors)

    async def _denoise(
        self,
        inputs: UpscaleInputs,
        prompts: InferResult,
        timeout_s: float,
        on_progress: OnProgress | None,
        preview_every: int,
    ) -> InferResult:
        request = {
            "model_name": "denoise",
            "inputs": [
                _tensor("image", inputs.image, np.uint8),
                *(
                    _tensor(name, prompts.as_numpy(name), np.float32)
                    for name in ("prompt_embeds", "negative_prompt_embeds")
                ),
                _tensor("seed", [inputs.seed], np.int64),
                _tensor("num_inference_steps", [inputs.num_inference_steps], np.int32),
                _tensor("guidance_scale", [inputs.guidance_scale], np.float32),
                _tensor("noise_level", [inputs.noise_level], np.int32),
                _tensor("safety_check", [inputs.safety_check], np.bool_),
                *_optional(inputs),
            ],
            "timeout": int(timeout_s * 1e6),  # microseconds, in Triton's request parameters
        }
        if on_progress is not None:
            request["parameters"] = {"progress": True, "preview_every": preview_every}

        answer: InferResult | None = None
        async for result in self._responses(request):
            progress = result.as_numpy("progress")
            if progress is None:
                answer = result
            elif on_progress is not None:
                step, steps = map(int, progress)
                on_progress(Progress(step, steps, result.as_numpy("preview")))
        if answer is None:
            raise InferenceServerException("denoise closed the stream without an answer")
        max_tile = answer.as_numpy("max_tile")
        if max_tile is not None:  # repositories that were exported before it was told do not say
            self.max_tile = int(max_tile[0])
        return answer

    async def _decode(self, latents: InferResult, on_progress: OnProgress | None) -> Upscaled:
        dtypes = {"latents": np.float32, "image": np.uint8, "safety_check": np.bool_}
        arrays = {name: latents.as_numpy(name) for name in dtypes}
        if lacking := [name for name, array in arrays.items() if array is None]:
            raise UnknownModel(
                f"The repository at {self._url} is of another version: its denoise gives no"
                f" {' and no '.join(lacking)}. Export it again."
            )
        tensors = [_tensor(name, arrays[name], dtype) for name, dtype in dtypes.items()]
        request: dict[str, Any] = {"model_name": "decode", "inputs": tensors}
        if on_progress is not None:
            request["parameters"] = {"progress": True}
        upscaled: Upscaled | None = None
        async for result in self._responses(request):
            progress = result.as_numpy("progress")
            if progress is None:
                nsfw = bool(result.as_numpy("nsfw")[0])
                upscaled = Upscaled(image=result.as_numpy("upscaled"), nsfw=nsfw)
            elif on_progress is not None:
                on_progress(Decoding(*map(int, progress)))
        if upscaled is None:
            raise InferenceServerException("decode closed the stream without an answer")
        return upscaled

    async def _responses(self, request: dict[str, Any]) -> AsyncIterator[InferResult]:
        """Of a decoupled model, to the end; leaving before cancels the request in Triton.

        Who has the last answer waits on until Triton ends the stream: one that is cancelled then
        leaves something behind in Triton that keeps it from ending in time.
        """

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {"request_id": current_id(), **request}

        responses = self._client.stream_infer(requests(), headers=trace_headers())
        try:
            async for result, error in responses:
                if error is not None:
                    raise error
                yield result
        finally:
            responses.cancel()

    async def _infer(self, model: str, tensors: list[InferInput]) -> InferResult:
        return await self._client.infer(
            model, tensors, request_id=current_id(), headers=trace_headers()
        )


def _optional(inputs: UpscaleInputs) -> list[InferInput]:
    """What is asked for otherwise than by default: older repositories know no such inputs."""
    name, interval = inputs.scheduler_name, inputs.step_cache
    tensors = [_tensor("scheduler", [name.encode()], np.object_)] if name else []
    return tensors + ([_tensor("step_cache", [interval], np.int32)] if interval > 1 else [])


def _tensor(name: str, values: Any, dtype: Any) -> InferInput:
    array = np.asarray(values, dtype)
    tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor
