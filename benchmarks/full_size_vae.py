"""A checkpoint with the x4 upscaler's own VAE, in its full size, with random weights.

`python -m benchmarks.full_size_vae OUTPUT`, then `upscale export --model OUTPUT` and
`upscale serve`: the memory of decode is that of the real model. The rest is the demo model.
"""

import shutil
from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

DEMO = Path(__file__).parent.parent / "demo" / "model"
# The names that attention had in the first releases, and has at the hub to this day.
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def write_vae(folder: Path, channels: tuple[int, ...] = (128, 256, 512)) -> None:
    """The VAE alone, into `folder`, in half precision and under its old names."""
    torch.manual_seed(0)
    vae = AutoencoderKL(  # https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=2,
        latent_channels=4,
        sample_size=256,
        scaling_factor=0.08333,
    )
    vae.half().save_pretrained(folder)
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({old_name(name): tensor for name, tensor in load_file(path).items()}, path)


def old_name(name: str) -> str:
    """The same weight's name in the first releases."""
    for new, old in OLD.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def main(output: Path) -> None:
    """Write it to a folder that does not exist yet."""
    shutil.copytree(DEMO, output, ignore=shutil.ignore_patterns("vae"))
    write_vae(output / "vae")


if __name__ == "__main__":
    typer.run(main)
