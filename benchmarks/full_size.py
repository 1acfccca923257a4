"""A checkpoint of the x4 upscaler's own architecture, in its full size, with random weights.

`python -m benchmarks.full_size OUTPUT`; 1.9 GB in half precision. With `--only vae` the rest is the
demo model, and the memory of decode is that of the real one. `upscale export --model OUTPUT` takes
either. The tokenizer, the safety checker and the schedulers are the demo model's; configurations
are those of https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

DEMO = Path(__file__).parent.parent / "demo" / "model"
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
VAE = {
    "block_out_channels": (128, 256, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": 0.08333,
}


def text_encoder() -> CLIPTextModel:
    """Its special tokens are those of the demo model's tokenizer."""
    demo = json.loads((DEMO / "text_encoder" / "config.json").read_text())
    tokens = {key: demo[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return CLIPTextModel(CLIPTextConfig(**TEXT_ENCODER, **tokens))


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "vae": lambda: AutoencoderKL(**VAE),
    "unet": lambda: UNet2DConditionModel(**UNET),
    "text_encoder": text_encoder,
}


def write(
    folder: Path,
    only: Annotated[str | None, typer.Option(help="vae, unet or text_encoder.")] = None,
) -> None:
    """Write the checkpoint to a folder that does not exist yet."""
    names = [only] if only else list(NETWORKS)
    # upscale.json has the demo model's defaults: without it they are the x4 upscaler's.
    left_out = shutil.ignore_patterns(*names, *([] if only else ["upscale.json"]))
    shutil.copytree(DEMO, folder, ignore=left_out)
    for name in names:
        torch.manual_seed(list(NETWORKS).index(name))
        NETWORKS[name]().half().save_pretrained(folder / name)  # type: ignore[operator]


if __name__ == "__main__":
    typer.run(write)
