"""Make the demo model from nothing: `python -m demo.training all`, or a stage of it.

Everything is kept in the work folder: a stage that was stopped goes on where it was.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

from demo.training.assemble import assemble as write_model
from demo.training.denoiser import train_denoiser
from demo.training.pictures import Pictures, load_pictures
from demo.training.safety import train_safety
from demo.training.unet import construct, make_unet
from demo.training.vae import normalize, train_vae

app = typer.Typer(no_args_is_help=True, add_completion=False)
Work = Annotated[Path, typer.Option(help="Folder of checkpoints and rendered scenes.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="The same seed and steps give the same training data.")]
Minutes = Annotated[float, typer.Option(help="Time to train, that of earlier runs included.")]
Batch = Annotated[int, typer.Option(help="Pictures a step.")]
WORK, SCENES, SEED = Path("demo/work"), 800, 0


@app.command()
def vae(
    work: Work = WORK,
    device: Device = "cpu",
    minutes: Minutes = 75,
    batch_size: Batch = 4,
    seed: Seed = SEED,
) -> None:
    """Stage 1: the autoencoder."""
    pictures = load(work, seed)
    trained = train_vae(pictures, work, device, minutes, batch_size, seed).float().eval()
    normalize(trained)
    trained.to("cpu").save_pretrained(work / "vae")


@app.command()
def unet(
    work: Work = WORK,
    device: Device = "cpu",
    minutes: Minutes = 15,
    batch_size: Batch = 8,
    seed: Seed = SEED,
) -> None:
    """Stage 2: the UNet, which is constructed and then learns to see through noise."""
    pictures = load(work, seed)
    torch.manual_seed(seed)
    model = make_unet()
    construct(model)
    train_denoiser(model, pictures, work, device, minutes, batch_size, seed)
    model.to("cpu").save_pretrained(work / "unet")


@app.command()
def safety(
    work: Work = WORK,
    device: Device = "cpu",
    steps: Annotated[int, typer.Option(help="Steps to train.")] = 600,
    batch_size: Batch = 32,
    seed: Seed = SEED,
) -> None:
    """Stage 3: the safety checker."""
    checker = train_safety(load(work, seed), device, steps, batch_size, seed)
    checker.to("cpu").save_pretrained(work / "safety_checker")


@app.command()
def assemble(
    work: Work = WORK,
    output: Annotated[Path, typer.Option(help="The model's folder.")] = Path("demo/model"),
    seed: Seed = SEED,
) -> None:
    """Stage 4: write the model's folder."""
    write_model(
        AutoencoderKL.from_pretrained(work / "vae"),
        UNet2DConditionModel.from_pretrained(work / "unet"),
        StableDiffusionSafetyChecker.from_pretrained(work / "safety_checker"),
        output,
        seed,
    )


@app.command(name="all")
def everything(work: Work = WORK, device: Device = "cpu", seed: Seed = SEED) -> None:
    """All four stages, an hour and three quarters on two cores."""
    vae(work=work, device=device, seed=seed)
    unet(work=work, device=device, seed=seed)
    safety(work=work, device=device, seed=seed)
    assemble(work=work, seed=seed)


def load(work: Path, seed: int) -> Pictures:
    """The training pictures; the first time they are rendered."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    return load_pictures(work, SCENES, seed)


if __name__ == "__main__":
    app()
