"""A checkpoint with the x4 upscaler's own VAE, in its full size, with random weights.

`python -m benchmarks.full_size_vae OUTPUT`, then `upscale export --model OUTPUT` and
`upscale serve`: the memory of decode is that of the real model. The rest is the demo model.
"""

import shutil
from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKL

DEMO = Path(__file__).parent.parent / "demo" / "model"


def write_vae(folder: Path) -> None:
    """The VAE alone, into `folder`."""
    torch.manual_seed(0)
    vae = AutoencoderKL(  # https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler
        block_out_channels=(128, 256, 512),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=2,
        latent_channels=4,
        sample_size=256,
        scaling_factor=0.08333,
    )
    vae.half().save_pretrained(folder)


def main(output: Path) -> None:
    """Write it to a folder that does not exist yet."""
    shutil.copytree(DEMO, output, ignore=shutil.ignore_patterns("vae"))
    write_vae(output / "vae")


if __name__ == "__main__":
    typer.run(main)
