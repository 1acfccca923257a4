"""A checkpoint of the x4 upscaler's own architecture, in its full size, with random weights.

`python -m benchmarks.full_size OUTPUT`; 1.9 GB in half precision. The tokenizer, the safety checker
and the schedulers are the demo model's; configurations are those of
https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler.
"""

import json
import shutil
from pathlib import Path

import torch
import typer
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.full_size_vae import DEMO, write_vae

UNET = {
    "in_channels": 7,
    "out_channels": 4,
    "block_out_channels": (256, 512, 512, 1024),
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 1024,
    "only_cross_attention": (True, True, True, False),
    "num_class_embeds": 1000,
    "use_linear_projection": True,
    "sample_size": 128,
}
TEXT_ENCODER = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "vocab_size": 49408,
}


def write(folder: Path) -> None:
    """Write the checkpoint to a folder that does not exist yet."""
    left_out = shutil.ignore_patterns("vae", "unet", "text_encoder", "upscale.json")
    shutil.copytree(DEMO, folder, ignore=left_out)
    write_vae(folder / "vae")
    torch.manual_seed(1)
    UNet2DConditionModel(**UNET).half().save_pretrained(folder / "unet")
    demo = json.loads((DEMO / "text_encoder" / "config.json").read_text())
    tokens = {key: demo[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPTextConfig(**TEXT_ENCODER, **tokens)
    CLIPTextModel(config).half().save_pretrained(folder / "text_encoder")


if __name__ == "__main__":
    typer.run(write)
