"""That TensorRT takes every graph, told by TensorRT-RTX, which builds engines without a GPU.

It is a sibling of TensorRT with the same parser, in wheels of 90 MB (220 MB on the disk) that this
test installs for itself. It says nothing of speed or exactness.
"""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from export.checkpoint import Checkpoint, load_checkpoint
from export.networks import NETWORKS, Network, split
from export.onnx_engine import export_onnx
from export.precision import Precision, in_precision
from export.repository import SOURCES
from export.tensorrt_engine import export_tensorrt
from export.triton_config import read_config
from stages.step_cache import StepCache

VERSION = "1.7.1.116"
WHEELS = [f"tensorrt-rtx-cu12-{part}=={VERSION}" for part in ("libs", "bindings")]
# Of the tiny checkpoint, whose UNet has 16 channels outermost.
STEP_CACHE = StepCache(branch=0, channels=16, stride=1, cost=0.13)
UNET = next(network for network in NETWORKS if network.name == "unet")
CASES = [
    (network, precision)
    for network in (*NETWORKS, *split(UNET, STEP_CACHE))
    for precision in Precision
    if network.runs_in(precision)
]


@pytest.fixture(scope="module", autouse=True)
def _tensorrt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`import tensorrt` is TensorRT-RTX's module for this one."""
    folder = tmp_path_factory.mktemp("tensorrt")
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *WHEELS]
    subprocess.run(command, check=True)
    sys.path.insert(0, str(folder))
    try:
        sys.modules["tensorrt"] = importlib.import_module("tensorrt_rtx_bindings")
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("tensorrt", None)


@pytest.fixture(scope="module")
def checkpoint(checkpoints: Callable[[str], Path]) -> Checkpoint:
    narrow = load_checkpoint(str(checkpoints("narrow")), None, None, None)
    return replace(narrow, step_cache=STEP_CACHE)


@pytest.mark.long
@pytest.mark.parametrize(
    ("network", "precision"),
    CASES,
    ids=[f"{network.name}{'-caching' * bool(network.beside)}-{p}" for network, p in CASES],
)
def test_a_plan_is_built(
    network: Network, precision: Precision, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Through the export's own code, with all of its profiles."""
    module = in_precision(network.module(checkpoint).eval().requires_grad_(False), precision)
    folder = tmp_path / network.name / "1"
    folder.mkdir(parents=True)
    graph, plan = folder / "model.onnx", folder / "model.plan"
    export_onnx(network, module, checkpoint, graph)
    rows = read_config(SOURCES / network.name / "config.pbtxt").max_batch_size
    profiles = export_tensorrt(network, checkpoint, graph, plan, rows)
    assert profiles == (2 if network.name in {"unet", "unet_shallow", "vae_decoder"} else 1)
    assert plan.stat().st_size > 0
