"""What a stage loads: each library more is a second of every start and memory for as long."""

import subprocess
import sys

import pytest

from tests.server import ROOT

# What denoise imports; with what of Triton's it needs, the rest needs nothing more.
DENOISE = (
    "admission",
    "errors",
    "gpu",
    "job",
    "loop",
    "preview",
    "request",
    "schedules",
    "engines",
)
# What encode and decode import, and the export's and the gateway's machine needs.
WITHOUT_TORCH = (
    "admission",
    "clip_pixels",
    "engines",
    "errors",
    "limits",
    "machine",
    "mosaic",
    "prompt_tokens",
    "request",
    "schedules",
    "tiles",
)


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [(DENOISE, {"diffusers", "transformers"}), (WITHOUT_TORCH, {"torch", "onnxruntime"})],
    ids=["denoise", "others"],
)
def test_no_more_is_imported_than_is_needed(modules: tuple[str, ...], unwanted: set[str]) -> None:
    imports = "".join(f"import stages.{name}\n" for name in modules)
    said = subprocess.run(
        [sys.executable, "-c", f"{imports}import sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loaded = set(said.split())
    assert "stages.errors" in loaded
    assert not loaded & unwanted
