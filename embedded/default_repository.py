"""The repository that `upscale serve` uses when none is named: exported once, then kept."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import AsyncFileLock

from embedded.triton import end_with_parent
from export.manifest import tool_versions
from gateway.serve import ServeError

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
CHECKPOINT = ROOT / "demo" / "model"
MODEL_ID = "upscale-demo"


async def default_repository(say: Callable[[str], None]) -> Path:
    """Export demo/model unless this version of it was exported before.

    Who starts while another exports waits for that. Raises ServeError when the export fails.
    """
    repository = CACHE / f"repository-{fingerprint()}"
    if not repository.is_dir():
        say("Exporting the demo model, once; this takes about a minute.")
        CACHE.mkdir(parents=True, exist_ok=True)
        async with AsyncFileLock(CACHE / "repository.lock"):
            if not repository.is_dir():
                await export_demo_model(repository)
            for old in CACHE.glob("repository-*"):
                if old != repository:
                    shutil.rmtree(old)
    say("This is the small demo model; `upscale export` brings a full-size one.")
    return repository


async def export_demo_model(repository: Path) -> None:
    """In a process of its own, so that its gigabyte is given back before we serve."""
    command = [sys.executable, "-m", "cli", "export", "--model", str(CHECKPOINT)]
    command += ["--model-id", MODEL_ID, "--output", str(repository)]
    command += ["--precision", "fp32"]  # with a GPU too: what it is for is diffusers' pixels
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C is for us
        preexec_fn=end_with_parent,
    )
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if status != 0:
        raise ServeError("The demo model could not be exported; the reason stands above.")


def fingerprint() -> str:
    """Changes with anything that the exported repository depends on."""
    digest = hashlib.sha256()
    for path in sorted(_source_files()):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    digest.update(json.dumps(tool_versions()).encode())
    return digest.hexdigest()[:16]


def _source_files() -> Iterator[Path]:
    for folder in (CHECKPOINT, ROOT / "model_repository", ROOT / "stages", ROOT / "export"):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md":
                yield path
