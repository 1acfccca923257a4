"""Distances to the converged picture."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

import benchmarks.curvature
import benchmarks.steps
from benchmarks.curvature import curvature
from benchmarks.photograph import photograph, png
from benchmarks.section import with_section
from benchmarks.steps import Picture, Point, converged, decoded, flip, main, measure, report
from stages.schedulers import NAMES
from tests.server import Server
from tests.tiny_pipeline import make_pipeline

CAT = photograph(None, 32, 32)
GREY = np.full((32, 32, 3), 128, np.uint8)


def stand_in(image: bytes, scheduler: str, steps: int) -> bytes:
    """Too bright by 100 of 255 over the steps, UniPC by a fifth of that; PNDM ends elsewhere."""
    error = 100 // steps // (5 if scheduler == "UniPCMultistep" else 1)
    error += 7 if scheduler == "PNDM" else 0
    return png(Image.fromarray(decoded(image) // 2 + np.uint8(error)))


def measured() -> tuple[list[Point], dict[str, list[Picture]]]:
    images = [png(CAT), png(CAT)]
    references = converged(stand_in, ["DDIM", "PNDM", "UniPCMultistep"], images)
    return list(measure(stand_in, references, [10, 20, 75], images)), references


def test_each_scheduler_is_compared_with_its_own_converged_picture() -> None:
    points, references = measured()
    at = {(point.scheduler, point.steps): point for point in points}
    for scheduler, error in (("DDIM", 10), ("PNDM", 10), ("UniPCMultistep", 2)):
        assert at[scheduler, 10].psnr_db == pytest.approx(20 * np.log10(255 / error))
    assert at["DDIM", 10].flip > at["DDIM", 20].flip > at["DDIM", 75].flip > 0
    assert at["UniPCMultistep", 75].flip == 0
    assert flip(references["DDIM"][0], references["PNDM"][0]) > 0


def test_flip_sees_what_is_seen() -> None:
    checks = np.indices((32, 32)).sum(0) % 2
    fine = (GREY + 20 * checks[..., None]).astype(np.uint8)
    assert flip(GREY, GREY) == 0
    assert flip(GREY, GREY + np.uint8(20)) > flip(GREY + np.uint8(10), fine) > 0, "as fine a grain"
    assert flip(np.zeros_like(GREY), np.full_like(GREY, 255)) > 0.9


def test_the_page_has_tables_and_the_plot(tmp_path: Path) -> None:
    text = report(*measured(), "a stand-in", "Words.", tmp_path / "plots")
    page = with_section("# Schedulers\n\n## Other\n\nkept\n", text)
    assert "## Other\n\nkept\n\n## Measured with a stand-in\n\n`python -m benchmarks.steps" in page
    flips, decibels, _ = (line for line in page.splitlines() if line.startswith("| UniPC"))
    assert flips.endswith("| 0.0000 | 20 | 0.0000 |"), "as near as DDIM with 75; not apart from it"
    assert decibels == "| UniPCMultistep | 42.1 | 48.1 | inf |"
    assert re.search(r"^\| PNDM \|.*\| 75 \| (?!0\.0000)0\.\d+ \|$", page, re.MULTILINE)
    link = re.search(r"\]\((.*)\)", page)
    assert link is not None
    with Image.open(tmp_path / link[1]) as plot:
        assert plot.format == "PNG"


def test_a_straight_way_has_no_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of random weights, and of a UNet whose estimate is the same all the way."""
    monkeypatch.setattr(benchmarks.curvature, "STEPS", 20)
    pipeline = make_pipeline("narrow")
    own = pipeline.scheduler
    images, options = [photograph(None, 8, 8)], {"prompt": "", "noise_level": 0}
    assert curvature(pipeline, images, **options) > 0.2

    def straight(sample: torch.Tensor, timestep: torch.Tensor, *_: Any, **__: Any) -> Any:
        latents, estimate = sample[:, :4], sample[:, 3:].clone()
        estimate[:, 0] = 0
        share = own.alphas_cumprod[timestep]
        return [(share.sqrt() * latents - estimate) / (1 - share).sqrt()]

    pipeline.unet.forward = straight
    assert curvature(pipeline, images, **options) < 1e-3
    assert pipeline.scheduler is own


def test_the_command_measures_a_server_and_writes_the_page(
    server: Server,
    checkpoints: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = tmp_path / "steps.md"
    page.write_text("# Schedulers\n")
    monkeypatch.setattr(benchmarks.steps, "PAGE", page)
    monkeypatch.setattr(benchmarks.steps, "CONVERGED", 20)
    monkeypatch.setattr(benchmarks.steps, "USUAL", 10)
    monkeypatch.setattr(benchmarks.curvature, "STEPS", 5)
    app = Typer()
    app.command()(main)
    command = ["--url", server.url, "--model", str(checkpoints("narrow")), "--label", "noise"]
    image = tmp_path / "cat.png"
    CAT.save(image)
    command += ["--image", str(image), "--side", "16", "--record"]
    command += ["--steps", "1", "--steps", "10"]  # which the export has written: no import
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    text = page.read_text()
    assert re.search(r"Photographs: 1 of 16 x 16, .* Curvature: 0\.[1-9]", text)
    assert "Each scheduler against its own picture of 20 steps." in text
    for name in NAMES:
        flips = re.search(rf"^\| {name} \| (\S+) \| (\S+) \| (10|none) \|", text, re.MULTILINE)
        assert flips is not None
        assert 0 < float(flips[2]) < float(flips[1]) < 1, name
    assert (tmp_path / "plots" / "steps-noise.png").is_file()
