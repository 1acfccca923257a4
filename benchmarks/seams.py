"""Whether tiles show: a server's tiled picture against diffusers' in one piece.

`make run` in one terminal; in another `python -m benchmarks.seams`. Both use the demo model. Prints
for three photographs the PSNR between both, and the mean step (absolute difference of neighbouring
pixels) across the borders of tiles against that elsewhere, for both, since a photograph has steps
of its own. With --output it keeps the pictures.
"""

import base64
import runpy
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from demo.assemble import load_pipeline
from tests.photographs import file_of, photograph, pixels_of

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "demo" / "model"
TILES = runpy.run_path(str(ROOT / "model_repository" / "tiles.py"))  # it belongs to no package
NAMES = ("astronaut", "coffee", "cat")
SCALE = 4
SEED = 1
console = Console()


def tiled(url: str, image: Image.Image, steps: int) -> NDArray[np.uint8]:
    """The server's picture."""
    response = httpx.post(
        f"{url}/upscale",
        files={"image": file_of(image)},
        data={"prompt": "a photo", "seed": SEED, "num_inference_steps": steps},
        timeout=None,  # noqa: S113 - the server has its own
    )
    response.raise_for_status()
    return pixels_of(base64.b64decode(response.json()["images"][0]["url"].split(",")[1]))


def whole(image: Image.Image, steps: int) -> NDArray[np.uint8]:
    """The picture of diffusers' pipeline, without tiles."""
    output = load_pipeline(MODEL)(
        prompt="a photo",
        image=image,
        num_inference_steps=steps,
        guidance_scale=1.0,
        noise_level=0,
        generator=torch.Generator().manual_seed(SEED),
    )
    return np.asarray(output.images[0])


def border_steps(image: NDArray[np.uint8]) -> float:
    """The mean step at the borders of tiles, of the mean step elsewhere."""
    at_borders, elsewhere = [], []
    for pixels in (image, image.swapaxes(0, 1)):
        steps = np.abs(np.diff(pixels.astype(float), axis=0)).mean((1, 2))
        lines = borders(len(pixels))
        at_borders.append(steps[lines].mean())
        elsewhere.append(np.delete(steps, lines).mean())
    return float(np.mean(at_borders) / np.mean(elsewhere))


def borders(length: int) -> list[int]:
    """The steps where an overlap begins, has its middle and ends; length: in pixels."""
    starts = [span.start for span in TILES["spans"](length // SCALE)][1:]
    parts = (0, TILES["OVERLAP"] // 2, TILES["OVERLAP"])
    return [SCALE * (start + part) - 1 for start in starts for part in parts]


def main(
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    side: Annotated[int, typer.Option(help="Pixels of the photographs.")] = 512,
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 20,
    output: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
) -> None:
    """Print one row a photograph."""
    table = Table("photograph", "PSNR, dB", "steps at borders", "in one piece", "ratio")
    for name in NAMES:
        image = photograph(name, side, side)
        ours, theirs = tiled(url, image, steps), whole(image, steps)
        error = np.square(ours.astype(float) - theirs).mean()
        here, there = border_steps(ours), border_steps(theirs)
        decibels = 10 * np.log10(255**2 / error)
        table.add_row(name, f"{decibels:.1f}", f"{here:.3f}", f"{there:.3f}", f"{here / there:.3f}")
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ours).save(output / f"{name}-tiled.png")
            Image.fromarray(theirs).save(output / f"{name}-whole.png")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
