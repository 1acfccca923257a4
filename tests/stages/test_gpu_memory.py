"""What is planned for a call, against what eager PyTorch holds at the x4 upscaler's sizes."""

import weakref
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stages.gpu_memory import (
    decoder_bytes,
    decoder_tiles,
    graphs_bytes,
    max_tile,
    unet_bytes,
    unet_rows,
)
from stages.tiles import MAX_TILE

UNET: dict[str, Any] = {
    "in_channels": 7,
    "block_out_channels": (256, 512, 512, 1024),
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
    "cross_attention_dim": 1024,
    "only_cross_attention": (True, True, True, False),
    "num_class_embeds": 1000,
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 2,
}


class Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that live at once while a block runs, beside some weights."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        weights = [*module.parameters(), *module.buffers()]
        self._known = {weight.untyped_storage()._cdata for weight in weights}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known:
                self._known.add(key)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._forget, key, size)
        return result

    def _forget(self, key: int, size: int) -> None:
        self._known.remove(key)
        self.now -= size


@cache
def made(kind: Any, has_attention: bool = True) -> Any:
    """A network of the real sizes that takes no memory, every attention score of it a tensor."""
    with torch.device("meta"):
        if kind is UNet2DConditionModel:
            module = UNet2DConditionModel(**UNET)
        else:
            module = AutoencoderKL(**VAE, mid_block_add_attention=has_attention)
    module.set_attn_processor(AttnProcessor())
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize(("rows", "side"), [(1, 64), (2, 128), (3, 128), (1, 512), (2, 1024)])
def test_a_call_of_the_unet_holds_what_is_planned(rows: int, side: int) -> None:
    unet = made(UNet2DConditionModel)
    sample = torch.empty(rows, 7, side, side, device="meta")
    embeds = torch.empty(rows, 77, 1024, device="meta")
    labels = torch.empty(rows, dtype=torch.int64, device="meta")
    with Held(unet) as held:
        unet(sample, labels, embeds, class_labels=labels)
    planned = unet_bytes(rows, side * side)
    assert 0.9 * planned < held.most <= planned


@pytest.mark.parametrize(
    ("side", "has_attention"), [(64, True), (128, True), (160, True), (160, False)]
)
def test_a_call_of_the_decoder_holds_what_is_planned(side: int, has_attention: bool) -> None:
    vae = made(AutoencoderKL, has_attention)
    with Held(vae) as held:
        vae.decode(torch.empty(1, 4, side, side, device="meta"))
    planned = decoder_bytes(1, side * side, has_attention)
    assert 0.9 * planned < held.most <= planned
    assert decoder_bytes(3, side * side, has_attention) == 3 * planned


@pytest.mark.parametrize(
    ("memory", "tile", "rows", "tiles"),
    [(80e9, 512, 16, 4), (24e9, 256, 16, 2), (16e9, 256, 15, 1), (4e9, MAX_TILE, 3, 1)],
)
def test_what_follows_from_a_gpus_memory(memory: float, tile: int, rows: int, tiles: int) -> None:
    size = int(memory)
    assert max_tile(size) == tile
    assert unet_rows(size, 16) == rows
    assert decoder_tiles(size, 128, has_attention=True, most=4) == tiles


@pytest.mark.parametrize("memory", [16e9, 24e9, 40e9, 80e9, 141e9])
def test_both_calls_and_the_weights_fit_beside_each_other(memory: float) -> None:
    size = int(memory)
    calls = (unet_bytes(2, max_tile(size) ** 2), unet_bytes(unet_rows(size, 16), 128 * 128))
    decoder = decoder_bytes(decoder_tiles(size, 128, has_attention=True, most=4), 128**2, True)
    weights = 3e9  # of all four, the UNet and the text encoder in float16
    assert max(calls) + graphs_bytes(size) + decoder + weights <= memory
