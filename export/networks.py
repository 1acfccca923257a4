"""The four networks as data: inputs and output, which axes are free, how exact each must be."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.checkpoint import Checkpoint
from export.precision import Precision
from export.step_cache import CachingUNet, ShallowUNet, predict
from stages.step_cache import FEATURE, StepCache
from stages.tiles import MULTIPLE

Inputs = dict[str, Tensor]


class TextEncoder(nn.Module):
    """input_ids int64 [B, 77] -> prompt_embeds float32 [B, 77, D] (diffusers `encode_prompt`)."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.text_encoder = checkpoint.load("text_encoder")

    def forward(self, input_ids: Tensor) -> Tensor:
        prompt_embeds: Tensor = self.text_encoder(input_ids)[0]
        return prompt_embeds


class UNet(nn.Module):
    """One prediction of `UNet2DConditionModel`.

    sample float32 [B, 7, h, w] (latents, then the noised low-res image), timestep float32 [B, 1],
    encoder_hidden_states float32 [B, 77, D], class_labels int64 [B, 1] (noise_level)
    -> out_sample float32 [B, 4, h, w]. h and w are multiples of 8.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.unet = checkpoint.load("unet")

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, class_labels: Tensor
    ) -> Tensor:
        return predict(self.unet, sample, timestep, encoder_hidden_states, class_labels)


class VaeDecoder(nn.Module):
    """latents float32 [B, 4, h, w] -> image uint8 [B, 4h, 4w, 3], RGB.

    The latents are as the scheduler leaves them; the scaling factor is part of the engine, and so
    is what diffusers' `VaeImageProcessor.postprocess` does: a quarter of the bytes leaves it.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.vae = checkpoint.load("vae")
        self.scaling_factor = self.vae.config.scaling_factor

    def forward(self, latents: Tensor) -> Tensor:
        image = self.vae.decoder(self.vae.post_quant_conv(latents / self.scaling_factor))
        unit = (image.float() * 0.5 + 0.5).clamp(0, 1)  # bfloat16 has not all levels
        # The cast comes last: TensorRT has uint8 at the borders of a graph only.
        pixels: Tensor = (unit * 255).round().permute(0, 2, 3, 1).to(torch.uint8)
        return pixels


class SafetyChecker(nn.Module):
    """pixel_values float32 [B, 3, 224, 224] -> concept_scores float32 [B, concepts].

    A picture is flagged when a score is above 0. diffusers' `StableDiffusionSafetyChecker.forward`
    rounds every score to three decimals first, so a score is lowered by half of that here.
    """

    ROUNDING = 0.0005
    SPECIAL_CARE_ADJUSTMENT = 0.01

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checker = checkpoint.load("safety_checker")

    def forward(self, pixel_values: Tensor) -> Tensor:
        checker = self.checker
        pooled = checker.vision_model(pixel_values)[1]
        embeds = nn.functional.normalize(checker.visual_projection(pooled))
        special = embeds @ nn.functional.normalize(checker.special_care_embeds).t()
        concepts = embeds @ nn.functional.normalize(checker.concept_embeds).t()
        special_scores = special - checker.special_care_embeds_weights - self.ROUNDING
        special_care = (special_scores > 0).any(dim=1, keepdim=True)
        adjustment = special_care.to(concepts.dtype) * self.SPECIAL_CARE_ADJUSTMENT
        scores: Tensor = concepts - checker.concept_embeds_weights + adjustment - self.ROUNDING
        return scores


@dataclass(frozen=True)
class Network:
    """One engine.

    An error is relative to the largest value, which is 255 for a uint8 output. A unit in the last
    place is 2^-11 of a value in fp16 and 2^-8 in bf16, and it adds up over some hundred layers.
    """

    name: str
    module: Callable[[Checkpoint], nn.Module]  # whose arguments are the engine's inputs
    # (checkpoint, batch, height, width of the latents) -> example inputs by name
    inputs: Callable[[Checkpoint, int, int, int], Inputs]
    dynamic: dict[str, dict[int, Any]]  # by input, its free axes
    output: str
    tolerance: float = 1e-4  # the largest error against PyTorch at which a float32 engine passes
    # The same for the reduced precisions; in one that is missing the network is refused.
    reduced: dict[Precision, float] = field(
        default_factory=lambda: {Precision.FP16: 1e-2, Precision.BF16: 5e-2}
    )
    why_not: str = ""  # in what is missing, a sentence
    beside: tuple[str, ...] = ()  # outputs after the first
    of: str = ""  # the network that it is a part of, whose choice of an engine it shares

    @property
    def outputs(self) -> list[str]:
        return [self.output, *self.beside]

    def runs_in(self, precision: Precision) -> bool:
        return precision is Precision.FP32 or precision in self.reduced

    def tolerance_in(self, precision: Precision) -> float:
        return self.tolerance if precision is Precision.FP32 else self.reduced[precision]


def _text_encoder_inputs(checkpoint: Checkpoint, batch: int, *_: int) -> Inputs:
    tokenizer = checkpoint.pipeline.tokenizer
    return {"input_ids": torch.randint(len(tokenizer), (batch, tokenizer.model_max_length))}


def _unet_inputs(checkpoint: Checkpoint, batch: int, height: int, width: int) -> Inputs:
    unet, scheduler = checkpoint.pipeline.unet, checkpoint.pipeline.scheduler
    tokens = checkpoint.pipeline.tokenizer.model_max_length
    return {
        "sample": torch.randn(batch, unet.config.in_channels, height, width),
        "timestep": scheduler.config.num_train_timesteps * torch.rand(batch, 1),
        "encoder_hidden_states": torch.randn(batch, tokens, unet.config.cross_attention_dim),
        "class_labels": torch.randint(checkpoint.pipeline.config.max_noise_level, (batch, 1)),
    }


def _vae_decoder_inputs(checkpoint: Checkpoint, batch: int, height: int, width: int) -> Inputs:
    channels = checkpoint.pipeline.vae.config.latent_channels
    return {"latents": torch.randn(batch, channels, height, width)}


def _safety_checker_inputs(checkpoint: Checkpoint, batch: int, *_: int) -> Inputs:
    assert checkpoint.safety_checker is not None
    size = checkpoint.safety_checker.config.vision_config.image_size
    return {"pixel_values": torch.randn(batch, 3, size, size)}


def _shallow_inputs(checkpoint: Checkpoint, batch: int, height: int, width: int) -> Inputs:
    assert checkpoint.step_cache is not None
    size = checkpoint.step_cache.feature_size(height, width)
    inputs = _unet_inputs(checkpoint, batch, height, width)
    return {**inputs, FEATURE: torch.randn(batch, *size)}


# Twice what any config.pbtxt takes. With 64 PyTorch's exporter finds that it must not be 64.
_BATCH = {0: Dim("batch", min=1, max=32)}
# The UNet halves its input three times; only multiples of 8 come back to their own size.
_EIGHTHS = (Dim("height", min=1, max=128), Dim("width", min=1, max=128))
_UNET_AXES = {**_BATCH, 2: 8 * _EIGHTHS[0], 3: 8 * _EIGHTHS[1]}
_VAE_AXES = {**_BATCH, 2: Dim("height", min=2, max=1024), 3: Dim("width", min=2, max=1024)}

NETWORKS = (
    Network(
        name="text_encoder",
        module=TextEncoder,
        inputs=_text_encoder_inputs,
        dynamic={"input_ids": _BATCH},
        output="prompt_embeds",
    ),
    Network(
        name="unet",
        module=UNet,
        inputs=_unet_inputs,
        dynamic={
            "sample": _UNET_AXES,
            "timestep": _BATCH,
            "encoder_hidden_states": _BATCH,
            "class_labels": _BATCH,
        },
        output="out_sample",
    ),
    Network(
        name="vae_decoder",
        module=VaeDecoder,
        inputs=_vae_decoder_inputs,
        dynamic={"latents": _VAE_AXES},
        output="image",
        tolerance=1 / 255,  # where a value lies between two levels, it may become either
        reduced={Precision.BF16: 5e-2},
        why_not="its values overflow float16, so diffusers too decodes in float32.",
    ),
    Network(
        name="safety_checker",
        module=SafetyChecker,
        inputs=_safety_checker_inputs,
        dynamic={"pixel_values": _BATCH},
        output="concept_scores",
        reduced={},
        why_not="its scores are differences of close numbers, and their sign decides.",
    ),
)


def networks_of(checkpoint: Checkpoint) -> list[Network]:
    """The networks that this checkpoint has: all, or all but the safety checker.

    With a step cache there is a second UNet after the first, which gives its deep feature, too.
    """
    has_checker = checkpoint.safety_checker is not None
    found = [network for network in NETWORKS if has_checker or network.name != "safety_checker"]
    if checkpoint.step_cache is None:
        return found
    at = next(index for index, network in enumerate(found) if network.name == "unet")
    return [*found[:at], *split(found[at], checkpoint.step_cache), *found[at + 1 :]]


def split(unet: Network, step_cache: StepCache) -> tuple[Network, Network]:
    """The UNet with its deep feature, and its outermost blocks."""
    high, wide = (
        side if step_cache.stride == MULTIPLE else MULTIPLE // step_cache.stride * side
        for side in _EIGHTHS
    )
    caching = replace(
        unet,
        module=lambda checkpoint: CachingUNet(checkpoint.load("unet"), step_cache),
        beside=(FEATURE,),
    )
    shallow = replace(
        unet,
        name="unet_shallow",
        module=lambda checkpoint: ShallowUNet(checkpoint.load("unet"), step_cache),
        inputs=_shallow_inputs,
        dynamic={**unet.dynamic, FEATURE: {**_BATCH, 2: high, 3: wide}},
        of="unet",
    )
    return caching, shallow
