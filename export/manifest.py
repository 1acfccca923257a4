"""The files of a repository against the sums in its manifest.json."""

import contextlib
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stages.machine import MANIFEST

# Whose versions an exported repository depends on.
TOOLS = (
    *("torch", "diffusers", "transformers", "onnx", "onnxscript"),
    *("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu13"),
)
COMPILED = "__pycache__"  # Python's own, of the stages' sources, made when they are first run


def tool_versions() -> dict[str, str]:
    """The versions of those tools that are installed: of ONNX Runtime one of two packages is."""
    found = {}
    for tool in TOOLS:
        with contextlib.suppress(PackageNotFoundError):
            found[tool] = version(tool)
    return found


def sums_of(repository: Path) -> dict[str, str]:
    """The hexadecimal SHA-256 of every file but the manifest, by its path in the repository."""
    names = sorted(
        path.relative_to(repository)
        for path in repository.rglob("*")
        if path.is_file() and COMPILED not in path.parts and path != repository / MANIFEST
    )
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter's lock
        digests = pool.map(lambda name: sha256_of(repository / name), names)
        return dict(zip(map(str, names), digests, strict=True))


def sha256_of(path: Path) -> str:
    """The hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(repository: Path) -> None:
    """Write the sums of the files as they are now into a manifest in the place of the old one."""
    path = repository / MANIFEST
    manifest = json.loads(path.read_text()) | {"sha256": sums_of(repository)}
    path.unlink()  # it may be a link to another repository's
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def changed_file(repository: Path) -> str | None:
    """The first file that is not as `upscale export` left it, in a sentence, or None."""
    path = repository / MANIFEST
    if not path.is_file():
        return f"{repository} is no model repository: no {MANIFEST}; `upscale export` makes one."
    try:
        expected = json.loads(path.read_text())["sha256"]
    except (ValueError, TypeError, KeyError):
        return f"{path} cannot be read or names no sums; export the repository again."
    found = sums_of(repository)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) == found.get(name):
            continue
        if name not in found:
            what = "is missing"
        elif name not in expected:
            what = f"is not in {MANIFEST}"
        else:
            what = f"is not the file that was exported: its sha256 differs from {MANIFEST}"
        return f"{repository / name} {what}. Restore it, or export the repository again."
    return None
