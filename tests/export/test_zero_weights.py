"""Transformers without effect leave a network; its values stay."""

from typing import Any

import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from export.zero_weights import without_zero_weights
from tests.tiny_pipeline import make_pipeline


def transformers(module: nn.Module) -> list[Transformer2DModel]:
    return [part for part in module.modules() if isinstance(part, Transformer2DModel)]


@torch.no_grad()
def test_only_what_has_no_effect_is_left_out() -> None:
    unet: Any = make_pipeline("narrow").unet
    whole = transformers(unet)
    for transformer in whole[1:]:
        nn.init.zeros_(transformer.proj_out.weight)
        nn.init.normal_(transformer.proj_out.bias)
    lighter: Any = without_zero_weights(unet)
    assert len(transformers(lighter)) == 1
    assert transformers(unet) == whole, "the checkpoint stays as it is"
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 7, 16, 24, generator=generator)
    embeds = torch.randn(2, 77, unet.config.cross_attention_dim, generator=generator)
    labels = torch.tensor([20, 7])
    one, other = (
        net(sample, labels, embeds, class_labels=labels).sample for net in (unet, lighter)
    )
    assert torch.equal(one, other)
    assert lighter.conv_in.weight is unet.conv_in.weight, "a copy of the weights takes gigabytes"


def test_a_network_without_such_is_itself() -> None:
    unet = make_pipeline("narrow").unet
    assert without_zero_weights(unet) is unet
