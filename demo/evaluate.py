"""What the model must hold, measured on a photograph that it was not trained on.

`python -m demo.evaluate` prints the table; `--picture demo/comparison.png` draws the README's.
"""

import itertools
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import skimage.data
import torch
import typer
from diffusers import AutoencoderKL, StableDiffusionUpscalePipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from demo.photographs import TRAINED_ON, enlarge, reduce
from demo.pipeline import DEFAULTS, MODEL, load_pipeline, load_safety_checker, preprocess
from demo.test_card import draw_test_card, vary

Picture = NDArray[np.uint8]  # RGB, [H, W, 3]
CROP = 256
CORNERS = ((0, 0), (0, 97), (0, 195), (44, 0), (44, 97), (44, 195))  # top, left in the cat
LABELS = ("input", "bicubic", "ours", "original")
console = Console()


def unseen() -> list[Picture]:
    """Six crops of scikit-image's cat, which no stage was trained on."""
    cat = skimage.data.cat()
    return [cat[top : top + CROP, left : left + CROP] for top, left in CORNERS]


def upscale(
    pipeline: StableDiffusionUpscalePipeline,
    small: Picture,
    steps: int = 20,
    noise_level: int = int(DEFAULTS["noise_level"]),
    seed: int = 0,
    prompt: str = "",
) -> Picture:
    """The pipeline's result for a picture [h, w, 3]: [4 h, 4 w, 3]."""
    result = pipeline(
        prompt=prompt,
        image=Image.fromarray(small),
        num_inference_steps=steps,
        guidance_scale=float(DEFAULTS["guidance_scale"]),
        noise_level=noise_level,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return np.asarray((result.images[0] * 255).round(), np.uint8)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, picture: Picture) -> Picture:
    """What the autoencoder alone makes of a picture."""
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    decoded = vae.decode(vae.encode(image).latent_dist.mean).sample[0].permute(1, 2, 0)
    return np.asarray(((decoded + 1) * 127.5).clamp(0, 255).round().numpy(), np.uint8)


def psnr(picture: Picture, original: Picture) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.square(picture.astype(float) - original).mean()
    return float(-10 * np.log10(error / 255**2))


def sharpness(picture: Picture) -> float:
    """The mean absolute difference of neighbours in grey."""
    grey = picture.astype(float).mean(2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def color_error(picture: Picture, original: Picture) -> float:
    """The mean absolute difference of the means of 16 x 16 blocks, of 255."""
    difference = picture.astype(float) - original
    height, width = (side // 16 for side in difference.shape[:2])
    return float(np.abs(difference.reshape(height, 16, width, 16, 3).mean((1, 3))).mean())


def measure(pipeline: StableDiffusionUpscalePipeline, **options: Any) -> dict[str, float]:
    """Means over the unseen crops; options: those of `upscale`."""
    rows = []
    for original in unseen():
        small = reduce(original)
        ours, bicubic = upscale(pipeline, small, **options), enlarge(small)
        rows.append(
            {
                "PSNR": psnr(ours, original),
                "over bicubic": psnr(ours, original) - psnr(bicubic, original),
                "sharpness": sharpness(ours) / sharpness(original),
                "sharpness of bicubic": sharpness(bicubic) / sharpness(original),
                "color error": color_error(ours, original),
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def count_flagged(checker: StableDiffusionSafetyChecker, pictures: list[Picture]) -> int:
    """How many of the pictures the checker flags."""
    images = [np.zeros((8, 8, 3)) for _ in pictures]  # it blackens what it flags
    return sum(checker(clip_input=preprocess(pictures), images=images)[1])


def cards(count: int) -> list[Picture]:
    """Variations of the test card: turned, cropped, reduced, recompressed, lighter, darker."""
    rng = np.random.default_rng(7)
    return [vary(draw_test_card(), rng) for _ in range(count)]


def photographs(count: int) -> list[Picture]:
    """Whole photographs, the unseen cat among them, and crops of them."""
    images = [getattr(skimage.data, name)() for name in ("cat", *TRAINED_ON)]
    rng, pictures = np.random.default_rng(8), list(images)
    for image in itertools.islice(itertools.cycle(images), count - len(images)):
        size = int(rng.integers(64, 300))
        top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
        pictures.append(image[top : top + size, left : left + size])
    return pictures


def print_quality(pipeline: StableDiffusionUpscalePipeline) -> None:
    """One row a setting: steps, noise levels and seeds."""
    settings: list[dict[str, int]] = [{"steps": steps} for steps in (20, 5, 10, 50, 75, 100)]
    settings += [{"noise_level": level} for level in (0, 5, 20, 50, 100)]
    settings += [{"seed": seed} for seed in (1, 2)]
    table = Table("setting", "PSNR", "over bicubic", "sharpness", "(bicubic)", "color error")
    for setting in settings:
        row = measure(pipeline, **setting)
        name = ", ".join(f"{key} {value}" for key, value in setting.items())
        cells = [f"{row[key]:.2f}" for key in row]
        table.add_row(name, *cells)
    console.print(table)


def draw(pipeline: StableDiffusionUpscalePipeline, path: Path) -> None:
    """Input, bicubic, ours (20 steps) and original side by side."""
    original = unseen()[4]
    small = reduce(original)
    nearest = enlarge(small, Image.Resampling.NEAREST)
    panels = [nearest, enlarge(small), upscale(pipeline, small), original]
    columns = []
    for label, panel in zip(LABELS, panels, strict=True):
        title = np.full((28, CROP, 3), 255, np.uint8)
        cv2.putText(title, label, (6, 20), cv2.FONT_HERSHEY_DUPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(np.vstack([title, panel]))
    Image.fromarray(np.hstack(columns)).save(path, optimize=True)


def main(
    model: Annotated[Path, typer.Option(help="The model's folder.")] = MODEL,
    picture: Annotated[Path | None, typer.Option(help="Draw the comparison here.")] = None,
) -> None:
    """Measure the model; with --picture only draw the comparison."""
    pipeline = load_pipeline(model)
    if picture is not None:
        draw(pipeline, picture)
        return
    autoencoder = np.mean([psnr(reconstruct(pipeline.vae, image), image) for image in unseen()])
    bicubic = np.mean([psnr(enlarge(reduce(image)), image) for image in unseen()])
    console.print(f"{CROP} x {CROP} crops of the unseen cat: bicubic {bicubic:.2f} dB,")
    console.print(f"the autoencoder alone {autoencoder:.2f} dB; 20 steps unless it says otherwise")
    print_quality(pipeline)
    checker = load_safety_checker(model)
    console.print(f"cards flagged: {count_flagged(checker, cards(40))} of 40")
    console.print(f"photographs flagged: {count_flagged(checker, photographs(40))} of 40")


if __name__ == "__main__":
    typer.run(main)
