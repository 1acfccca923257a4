"""How near a picture of few steps is to its converged one, for every scheduler that is served.

`python -m benchmarks.steps` prints a section of docs/steps.md, `--record` writes it there with its
plot. `--model FOLDER` is a diffusers folder, which is exported first; `--repository` or `--url` has
what was exported of it already.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import cv2
import flip_evaluator
import httpx
import numpy as np
import skimage.data
import typer
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.console import Console

from benchmarks.contenders import load_pipeline
from benchmarks.curvature import curvature
from benchmarks.full_size import DEMO
from benchmarks.gpu import export
from benchmarks.growth import label_values
from benchmarks.photograph import photograph, png
from benchmarks.section import link, plots_folder, plotted, publish, section, table
from benchmarks.server import REQUEST_TIMEOUT_S, UpscaleServer
from doctor.picture import psnr
from embedded.default_repository import default_repository

PAGE = Path(__file__).parents[1] / "docs" / "steps.md"
NUMBERS = [5, 10, 15, 20, 25, 30, 50, 75]
# Steps of the picture that is compared with: the most at which no scheduler of diffusers fails; and
# of its default.
CONVERGED, USUAL = 998, 75
TOGETHER = 8  # requests
PHOTOGRAPHS = ("cat", "coffee")  # scikit-image's
console = Console(stderr=True)

Picture = NDArray[np.uint8]  # RGB, [H, W, 3]
Upscale = Callable[[bytes, str, int], bytes]  # an image, scheduler and steps -> the PNG file


@dataclass(frozen=True)
class Point:
    """One scheduler with one number of steps: means over the photographs, the median of seconds.

    psnr_db, flip: from the scheduler's own picture of CONVERGED steps. flip is 0 for no difference
    that can be seen, 1 for black beside white.
    """

    scheduler: str
    steps: int
    psnr_db: float
    flip: float
    seconds: float


def converged(
    upscale: Upscale, schedulers: Sequence[str], images: Sequence[bytes]
) -> dict[str, list[Picture]]:
    """By scheduler, of every image; requested together, as nobody waits for them."""

    with ThreadPoolExecutor(TOGETHER) as pool:
        waiting = {
            name: [pool.submit(upscale, image, name, CONVERGED) for image in images]
            for name in schedulers
        }
        return {name: [decoded(file.result()) for file in files] for name, files in waiting.items()}


def measure(
    upscale: Upscale,
    references: Mapping[str, Sequence[Picture]],
    numbers: Sequence[int],
    images: Sequence[bytes],
) -> Iterator[Point]:
    """One request after the other; references: what `converged` gave."""
    for scheduler, pictures in references.items():
        for steps in numbers:
            made = [timed(upscale, image, scheduler, steps) for image in images]
            pairs = [(one, other) for one, (other, _) in zip(pictures, made, strict=True)]
            yield Point(
                scheduler,
                steps,
                mean(psnr(*pair) for pair in pairs),
                mean(flip(*pair) for pair in pairs),
                median(seconds for _, seconds in made),
            )


def timed(upscale: Upscale, image: bytes, scheduler: str, steps: int) -> tuple[Picture, float]:
    """A picture, and the seconds that its request took."""
    began = time.perf_counter()
    file = upscale(image, scheduler, steps)
    seconds = time.perf_counter() - began
    return decoded(file), seconds


def decoded(file: bytes) -> Picture:
    """The pixels of a PNG file."""
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels[..., ::-1], np.uint8)


def flip(reference: Picture, picture: Picture) -> float:
    """The mean of FLIP: how different they look where one takes the other's place on a screen.

    Andersson et al., FLIP: A Difference Evaluator for Alternating Images, 2020; at the 67 pixels a
    degree of its authors.
    """
    pair = [np.ascontiguousarray(pixels, np.float32) / 255 for pixels in (reference, picture)]
    return float(flip_evaluator.evaluate(*pair, "LDR", applyMagma=False)[1])


def report(
    points: Sequence[Point],
    references: Mapping[str, Sequence[Picture]],
    label: str,
    description: str,
    plots: Path,
) -> str:
    """The section of docs/steps.md; draws its plot into a folder."""
    path = plots / f"steps-{'-'.join(label.split())}.png"
    draw(points, path)
    numbers = list(dict.fromkeys(point.steps for point in points))
    own = next(iter(references))

    def rows(text: Callable[[Point], str]) -> list[list[str]]:
        return [[name, *(text(p) for p in points if p.scheduler == name)] for name in references]

    [near] = [p.flip for p in points if (p.scheduler, p.steps) == (own, USUAL)]
    flips = rows(lambda point: f"{point.flip:.4f}")
    for row, (name, pictures) in zip(flips, references.items(), strict=True):
        enough = [str(p.steps) for p in points if p.scheduler == name and p.flip <= near]
        apart = mean(flip(*pair) for pair in zip(references[own], pictures, strict=True))
        row += [enough[0] if enough else "none", f"{apart:.4f}"]
    head = ["steps", *map(str, numbers)]
    return section(
        f"Measured with {label}",
        f"{description} Each scheduler against its own picture of {CONVERGED} steps.",
        f"FLIP; *as near*: with so many it is as near as {own} is with {USUAL}; *apart*: its"
        f" picture of {CONVERGED} steps from {own}'s:",
        table([*head, "as near", "apart"], flips),
        "PSNR, dB:",
        table(head, rows(lambda point: f"{point.psnr_db:.1f}")),
        "Seconds of a request:",
        table(head, rows(lambda point: f"{point.seconds:.2f}")),
        link(path, f"FLIP and PSNR against steps, FLIP against seconds, with {label}"),
        program="python -m benchmarks.steps",
    )


def draw(points: Sequence[Point], path: Path) -> None:
    """A line a scheduler: both distances against steps, and FLIP against seconds."""
    numbers = sorted({point.steps for point in points})
    with plotted(path, 3) as (by_flip, by_psnr, by_seconds):
        for scheduler in dict.fromkeys(point.scheduler for point in points):
            mine = [point for point in points if point.scheduler == scheduler]
            steps = [point.steps for point in mine]
            flips = [point.flip for point in mine]
            by_flip.plot(steps, flips, ".-")
            by_psnr.plot(steps, [point.psnr_db for point in mine], ".-")
            by_seconds.plot([point.seconds for point in mine], flips, ".-", label=scheduler)
        by_flip.set(xlabel="steps", ylabel="FLIP", xscale="log")
        by_psnr.set(xlabel="steps", ylabel="PSNR, dB", xscale="log")
        by_seconds.set(xlabel="seconds of a request", ylabel="FLIP")
        for axis in (by_flip, by_psnr):
            label_values(axis, numbers)


def sources(paths: Sequence[Path], side: int) -> list[Image.Image]:
    """The photographs, as squares of so many pixels."""
    if paths:
        return [photograph(path, side, side) for path in paths]
    pictures = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOGRAPHS]
    return [ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS) for picture in pictures]


def main(
    model: Annotated[Path, typer.Option(help="A diffusers folder.")] = DEMO,
    repository: Annotated[Path | None, typer.Option(help="Exported from it already.")] = None,
    url: Annotated[str | None, typer.Option(help="Of a server that has it already.")] = None,
    label: Annotated[
        str | None, typer.Option(help="What the section calls it; default: the folder's name.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A photograph; repeat it. Default: scikit-image's.")
    ] = None,
    side: Annotated[int, typer.Option(min=8, help="Pixels of the photographs' sides.")] = 128,
    steps: Annotated[list[int], typer.Option(min=1, help="Repeat it.")] = NUMBERS,
    prompt: Annotated[str, typer.Option(help="Of every request.")] = "a photo",
    guidance_scale: Annotated[float, typer.Option(help="Above 1 there is guidance.")] = 9.0,
    noise_level: Annotated[int, typer.Option(help="Of every request.")] = 20,
    record: Annotated[bool, typer.Option("--record", help="Into docs/steps.md as well.")] = False,
) -> None:
    """Print a section of docs/steps.md."""
    options = {"prompt": prompt, "guidance_scale": guidance_scale, "noise_level": noise_level}
    pictures = sources(image or [], side)
    curved = curvature(load_pipeline(model), pictures, **options)
    with ExitStack() as stack:
        if url is None and repository is None and model == DEMO:
            repository = asyncio.run(default_repository(console.print))
        elif url is None and repository is None:
            repository = Path(stack.enter_context(tempfile.TemporaryDirectory()), "repository")
            export(model, repository, "")
        if url is None:
            assert repository is not None
            url = stack.enter_context(UpscaleServer(repository)).url
        client = stack.enter_context(
            httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
        )
        names = client.get("/model").raise_for_status().json()["schedulers"]
        upscale, images = upscale_by(client, options), [png(picture) for picture in pictures]
        references = converged(upscale, names, images)
        points = []
        for point in measure(upscale, references, sorted({*steps, USUAL}), images):
            console.print(point)
            points.append(point)
    description = (
        f"Photographs: {len(pictures)} of {side} x {side}, guidance_scale {guidance_scale:g},"
        f" noise_level {noise_level}. Curvature: {curved:.2f}."
    )
    plots = plots_folder(record=record, page=PAGE)
    name = label or ("the demo model" if model == DEMO else model.name)
    publish(report(points, references, name, description, plots), record=record, page=PAGE)


def upscale_by(client: httpx.Client, options: dict[str, Any]) -> Upscale:
    """`POST /upscale` of a seed."""

    def upscale(image: bytes, scheduler: str, steps: int) -> bytes:
        fields = {"scheduler": scheduler, "num_inference_steps": steps, "seed": 0}
        response = client.post(
            "/upscale",
            files={"image": image},
            data={**options, **fields, "safety_check": False},
            headers={"Accept": "image/png"},
        )
        return response.raise_for_status().content

    return upscale


if __name__ == "__main__":
    typer.run(main)
