"""The UNet in two, for a step cache: all of it with its deep feature, and its outermost blocks.

A branch keeps so many layers of the up blocks and one more, from the end, and of the down blocks
what their skip connections need: DeepCache's `cache_branch_id` (Ma et al., 2023), where a block has
three. The deep feature is what comes to the first of these layers from below.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from export.errors import ExportError
from stages.step_cache import FEATURE, StepCache

BLOCKS = {"DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"}
SIDE = 128  # latents of the row whose operations are counted


class CachingUNet(nn.Module):
    """As `networks.UNet`, and deep_feature float32 [B, C, h / stride, w / stride] beside it."""

    def __init__(self, unet: Any, step_cache: StepCache) -> None:
        super().__init__()
        self.unet = unet
        self.step_cache = step_cache

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, class_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        joined: list[Tensor] = []  # the deep feature, and behind it what was skipped to here
        entry = up_layers(self.unet)[-1 - self.step_cache.branch]
        hook = entry.register_forward_pre_hook(lambda _, inputs: joined.append(inputs[0]))
        try:
            out_sample = predict(self.unet, sample, timestep, encoder_hidden_states, class_labels)
        finally:
            hook.remove()
        return out_sample, joined[0][:, : self.step_cache.channels]


class ShallowUNet(nn.Module):
    """As `networks.UNet`, and deep_feature as `CachingUNet` makes it -> out_sample."""

    def __init__(self, unet: Any, step_cache: StepCache) -> None:
        """unet: which is cut down."""
        super().__init__()
        keep_outermost(unet, step_cache.branch)
        self.unet = unet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        class_labels: Tensor,
        deep_feature: Tensor,
    ) -> Tensor:
        def begin_there(_: nn.Module, arguments: Any, options: dict[str, Any]) -> Any:
            return arguments, {**options, "hidden_states": deep_feature}

        hook = self.unet.up_blocks[0].register_forward_pre_hook(begin_there, with_kwargs=True)
        try:
            return predict(self.unet, sample, timestep, encoder_hidden_states, class_labels)
        finally:
            hook.remove()


def predict(
    unet: Any, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, labels: Tensor
) -> Tensor:
    """One prediction of `UNet2DConditionModel`; shapes as of `networks.UNet`."""
    out_sample: Tensor = unet(
        sample,
        timestep[:, 0],
        encoder_hidden_states,
        class_labels=labels[:, 0],
        return_dict=False,
    )[0]
    return out_sample


def up_layers(unet: Any) -> list[Any]:
    """The resnets of its up blocks, from the deepest to the outermost; each takes one skip."""
    return [resnet for block in unet.up_blocks for resnet in block.resnets]


def keep_outermost(unet: Any, branch: int) -> None:
    """Cut a `UNet2DConditionModel` down to what the last layers of its up blocks need."""
    unet.mid_block = None
    layers, up_blocks = branch + 1, list[Any]()
    for block in reversed(unet.up_blocks):
        if layers:
            kept = min(layers, len(block.resnets))
            keep_layers(block, slice(len(block.resnets) - kept, None))
            up_blocks.insert(0, block)
            layers -= kept
    skips, down_blocks = branch, list[Any]()  # beside that of the first convolution
    for block in unet.down_blocks:
        if skips:
            kept = min(skips, len(block.resnets))
            keep_layers(block, slice(kept))
            down_blocks.append(block)
            skips -= kept
            if not skips:
                block.downsamplers = None
            elif block.downsamplers is not None:
                skips -= 1
    unet.up_blocks, unet.down_blocks = nn.ModuleList(up_blocks), nn.ModuleList(down_blocks)


def keep_layers(block: Any, layers: slice) -> None:
    """Of an up or a down block; an attention follows each resnet, or none does."""
    block.resnets = block.resnets[layers]
    if hasattr(block, "attentions"):
        block.attentions = block.attentions[layers]


def step_cache_of(unet: Any, branch: int) -> StepCache:
    """What a branch of a UNet on the device "meta" makes.

    Raises ExportError for one that it does not have, and for blocks that are not known here.
    """
    blocks = [*unet.down_blocks, *unet.up_blocks]
    if others := {type(block).__name__ for block in blocks} - BLOCKS:
        raise ExportError(
            f"--step-cache: this UNet has blocks of the kind {', '.join(sorted(others))}, which are"
            " not known here. Export it without."
        )
    layers = up_layers(unet)
    if not 0 <= branch < len(layers):
        raise ExportError(
            f"--step-cache {branch}: this UNet has branches from 0, of which the least runs, to"
            f" {len(layers) - 1}."
        )
    entry = layers[-1 - branch]
    above = list(unet.up_blocks)
    while entry not in above[0].resnets:
        above.pop(0)
    outermost = copy.deepcopy(unet)
    keep_outermost(outermost, branch)
    skipped = [unet.conv_in]
    for block in outermost.down_blocks:
        skipped += [*block.resnets, *(block.downsamplers or ())]
    step_cache = StepCache(
        branch=branch,
        channels=entry.in_channels - skipped[-1].out_channels,
        stride=2 ** sum(block.upsamplers is not None for block in above),
        cost=1.0,
    )
    full = operations(CachingUNet(unet, step_cache))
    shallow = operations(ShallowUNet(outermost, step_cache), step_cache)
    return replace(step_cache, cost=round(shallow / full, 4))


def outermost_parameters(unet: Any, branch: int) -> int:
    """How many numbers the weights of a branch are."""
    outermost = copy.deepcopy(unet)
    keep_outermost(outermost, branch)
    return sum(parameter.numel() for parameter in outermost.parameters())


def operations(network: Any, step_cache: StepCache | None = None) -> int:
    """Of a row of SIDE x SIDE latents, floating point; on the device "meta" nothing is computed.

    step_cache: of the outermost blocks alone.
    """
    config = network.unet.config
    inputs = {
        "sample": torch.zeros(1, config.in_channels, SIDE, SIDE, device="meta"),
        "timestep": torch.zeros(1, 1, device="meta"),
        "encoder_hidden_states": torch.zeros(1, 77, config.cross_attention_dim, device="meta"),
        "class_labels": torch.zeros(1, 1, dtype=torch.int64, device="meta"),
    }
    if step_cache is not None:
        inputs[FEATURE] = torch.zeros(1, *step_cache.feature_size(SIDE, SIDE), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(**inputs)
    return int(counter.get_total_flops())
