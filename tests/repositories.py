"""The repositories that tests serve: exported once, then kept in .cache until a source changes.

`python -m tests.repositories` exports them all, two at a time, so that no test waits for one.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from filelock import FileLock
from onnx import TensorProto, helper, numpy_helper

from embedded.default_repository import CACHE, default_repository, fingerprint
from export.manifest import record
from stages.machine import describe_machine
from tests import tiny_pipeline

ROOT = Path(__file__).parent.parent
FOLDER = CACHE / "tests"
WITHOUT_SAFETY_CHECKER = "wide"
BROKEN_LATENTS, BROKEN_PIXELS = 313, 314  # noise levels at which "flagging" makes no pictures
HUGE = 1e6  # latents


@dataclass(frozen=True)
class Export:
    """What `upscale export` is asked for.

    flags: the safety checker finds something everywhere, and pictures can be broken.
    """

    architecture: str
    options: tuple[str, ...] = ()
    flags: bool = False

    @property
    def key(self) -> str:
        """Changes with anything that the repository depends on."""
        machine = (
            describe_machine("aoti", "cpu") if any("aoti" in word for word in self.options) else {}
        )
        sources = fingerprint() + Path(tiny_pipeline.__file__).read_text() + sys.version
        return hashlib.sha256(f"{self}{machine}{sources}".encode()).hexdigest()[:16]


EXPORTS = {
    "narrow": Export("narrow"),
    "wide": Export("wide", ("--safety-checker", "none", "--step-cache", "0")),
    "flagging": Export("narrow", flags=True),
    # An engine that denoise runs and one that Triton runs; the text encoder compiles fastest.
    "compiled": Export("narrow", ("--engine", "unet=aoti", "--engine", "text_encoder=aoti")),
}


def exported(name: str, checkpoint: Callable[[str], Path]) -> Path:
    """The repository of this name.

    Whoever else wants it, as the other worker of pytest-xdist, waits until it is there.
    """
    export = EXPORTS[name]
    folder = FOLDER / f"{name}-{export.key}"
    repository = folder / name
    with _lock(name):
        if not repository.exists():
            for old in FOLDER.glob(f"{name}-*"):
                shutil.rmtree(old)
            folder.mkdir()
            if export.flags:
                shutil.copytree(exported(export.architecture, checkpoint), repository)
                _flag_everything(repository)
                _break_pictures(repository)
                record(repository)
                return repository
            command = [sys.executable, "-m", "cli", "export", "--output", str(repository)]
            command += ["--model", str(checkpoint(export.architecture)), *export.options]
            command += ["--precision", "fp32"]  # what diffusers' pixels need, with a GPU too
            subprocess.run(command, cwd=ROOT, check=True)
    return repository


def demo_repository() -> Path:
    """That of the model that is shipped, as `upscale serve` makes it."""
    with ThreadPoolExecutor(1) as pool:  # Playwright's event loop runs in that of tests of pages
        return pool.submit(asyncio.run, default_repository(print)).result()


@contextmanager
def _lock(name: str) -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER / f"{name}.lock"):
        yield


def _break_pictures(repository: Path) -> None:
    """Half precision's faults: NaN for requests of BROKEN_LATENTS, black ones of BROKEN_PIXELS."""
    path = repository / "unet" / "1" / "model.onnx"
    model = onnx.load(path)
    add = helper.make_node
    nodes = [add("Cast", ["class_labels"], ["level"], to=TensorProto.FLOAT)]
    constants = {"nan": np.nan, "huge": HUGE, "none": 0.0}
    constants |= {"latents": BROKEN_LATENTS, "pixels": BROKEN_PIXELS}
    nodes += [add("Equal", ["level", kind], [f"is_{kind}"]) for kind in ("latents", "pixels")]
    nodes.append(add("Where", ["is_latents", "nan", "none"], ["nans"]))
    nodes.append(add("Where", ["is_pixels", "huge", "nans"], ["faults"]))
    nodes.append(add("Unsqueeze", ["faults", "axes"], ["spread"]))
    _add_last(model, constants, nodes, lambda sound, out: add("Add", [sound, "spread"], [out]))
    onnx.save(model, path)
    path = repository / "vae_decoder" / "1" / "model.onnx"
    model = onnx.load(path)
    nodes = [add("Abs", ["latents"], ["sizes"])]
    nodes.append(add("ReduceMax", ["sizes"], ["largest"], keepdims=1))
    nodes.append(add("Greater", ["largest", "limit"], ["is_huge"]))
    black = numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.uint8), "black")
    model.graph.initializer.append(black)
    _add_last(
        model,
        {"limit": HUGE / 1e4},
        nodes,
        lambda sound, out: add("Where", ["is_huge", "black", sound], [out]),
    )
    onnx.save(model, path)


def _add_last(
    model: onnx.ModelProto,
    constants: dict[str, float],
    nodes: list[onnx.NodeProto],
    last: Callable[[str, str], onnx.NodeProto],
) -> None:
    """Nodes after all others; last: makes of the graph's output, under another name, its own."""
    graph = model.graph
    [output] = graph.output
    for node in graph.node:
        node.output[:] = ["sound" if name == output.name else name for name in node.output]
        node.input[:] = ["sound" if name == output.name else name for name in node.input]
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.float32), name))
    graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    graph.node.extend([*nodes, last("sound", output.name)])


def _flag_everything(repository: Path) -> None:
    """Lower every concept's threshold below what a cosine can be."""
    path = repository / "safety_checker" / "1" / "model.onnx"
    model = onnx.load(path)
    [thresholds] = [
        tensor
        for tensor in model.graph.initializer
        if tensor.name == "checker.concept_embeds_weights"
    ]
    lowered = np.full(tuple(thresholds.dims), -1, np.float32)
    thresholds.CopyFrom(numpy_helper.from_array(lowered, thresholds.name))
    onnx.save(model, path)


def main() -> None:
    """Export what is not there yet, the longest first."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = {name: Path(folder, name) for name in tiny_pipeline.ARCHITECTURES}
        for name, path in paths.items():
            tiny_pipeline.write(path, name)
        names = ("compiled", "wide", "narrow")
        waiting = [pool.submit(exported, name, paths.__getitem__) for name in names]
        waiting.append(pool.submit(demo_repository))
        waiting.append(pool.submit(exported, "flagging", paths.__getitem__))
        for export in waiting:
            export.result()


if __name__ == "__main__":
    main()
