"""The repository that `upscale serve` uses when none is named: made once, then kept."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from embedded.serve import ServeError

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
SCRIPT = ROOT / "tests" / "tiny_pipeline.py"
MODEL_ID = "upscale-tiny"
TOOLS = ("torch", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime")


def default_repository(say: Callable[[str], None]) -> Path:
    """Make and export a tiny pipeline unless this version of it was exported before.

    Raises ServeError when that fails.
    """
    repository = CACHE / f"repository-{fingerprint()}"
    if not repository.is_dir():
        say(f"Exporting {MODEL_ID}, once; this takes about a minute.")
        with tempfile.TemporaryDirectory() as folder:
            run("-m", "tests.tiny_pipeline", folder)
            options = ["--model", folder, "--model-id", MODEL_ID, "--output", str(repository)]
            run("-m", "cli", "export", *options)
        for old in CACHE.glob("repository-*"):
            if old != repository:
                shutil.rmtree(old)
    say(f"{MODEL_ID} has random weights: its pictures are noise. A real one: upscale export.")
    return repository


def run(*arguments: str) -> None:
    """Python in a process of its own, so that its gigabyte is given back before we serve."""
    if subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode != 0:
        raise ServeError("The default model could not be exported; its reason stands above.")


def fingerprint() -> str:
    """Changes with anything that the exported repository depends on."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    for tool in TOOLS:
        digest.update(f"{tool}=={version(tool)}".encode())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield SCRIPT
    for folder in (ROOT / "model_repository", ROOT / "export"):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
