"""Where the time of an engine goes, by ONNX Runtime's operators.

`python -m benchmarks.operators` profiles the UNet and the decoder of the demo model, in sessions as
they are served, and times a large matrix product beside them: what these cores can do.
"""

import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tritonclient.grpc.model_config_pb2 import TYPE_INT64

from embedded.default_repository import default_repository
from export.triton_config import read_config
from stages.engines import session_options

ENGINES = ("unet", "vae_decoder")
WARM_UP = 3
OPERATORS = 8  # rows of a table; the rest are one more
PRODUCT = 2048  # of square matrices
console = Console()


@dataclass(frozen=True)
class Call:
    """One operator's run. multiplications: of a convolution, with as many additions; else 0."""

    operator: str
    seconds: float
    multiplications: int


def calls(path: Path, inputs: Mapping[str, NDArray[Any]], runs: int) -> list[Call]:
    """What so many runs of a model took, after some that warm up."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(WARM_UP + runs):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    starts = [event["ts"] for event in events if event["name"] == "model_run"]
    return [
        Call(
            event["args"]["op_name"],
            event["dur"] / 1e6,
            multiplications(event["args"]) if event["args"]["op_name"] == "Conv" else 0,
        )
        for event in events
        if event["name"].endswith("_kernel_time") and event["ts"] >= starts[WARM_UP]
    ]


def multiplications(args: Mapping[str, Any]) -> int:
    """Of a convolution [N, C, h, w], [K, C, kh, kw] -> [N, K, H, W]."""
    _, weights, *_ = (next(iter(shape.values())) for shape in args["input_type_shape"])
    (output,) = (next(iter(shape.values())) for shape in args["output_type_shape"])
    count: int = math.prod(output) * math.prod(weights[1:])
    return count


def example(repository: Path, name: str, side: int) -> dict[str, NDArray[Any]]:
    """Random inputs of one row, for an image of side x side pixels."""
    rng = np.random.default_rng(0)
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in read_config(repository / name / "config.pbtxt").input:
        shape = [1, *(side if size == -1 else size for size in tensor.dims)]
        is_label = tensor.data_type == TYPE_INT64
        inputs[tensor.name] = (
            np.ones(shape, np.int64) if is_label else rng.standard_normal(shape, np.float32)
        )
    return inputs


def rows(measured: Sequence[Call], runs: int) -> Iterator[list[str]]:
    """Of the table: ms of one run, the share, and how fast convolutions are."""
    by_operator: dict[str, list[Call]] = defaultdict(list)
    for call in measured:
        by_operator[call.operator].append(call)
    whole = sum(call.seconds for call in measured)

    def row(name: str, group: Sequence[Call]) -> list[str]:
        seconds = sum(call.seconds for call in group)
        gflop = 2e-9 * sum(call.multiplications for call in group)
        rate = f"{gflop / seconds:.0f}" if gflop else ""
        return [name, f"{1e3 * seconds / runs:.2f}", f"{seconds / whole:.1%}", rate]

    largest = sorted(by_operator, key=lambda name: -sum(c.seconds for c in by_operator[name]))
    for name in largest[:OPERATORS]:
        yield row(name, by_operator[name])
    yield row("others", [call for name in largest[OPERATORS:] for call in by_operator[name]])


def product_gflops(runs: int) -> float:
    """GFLOP/s of a product of float32 matrices, the median."""
    matrix = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), np.float32)
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        matrix @ matrix
        taken.append(time.perf_counter() - began)
    return 2e-9 * PRODUCT**3 / median(taken)


def main(
    side: Annotated[int, typer.Option(help="Pixels, 128 at most.")] = 128,
    runs: Annotated[int, typer.Option(help="Of each engine.", min=1)] = 20,
) -> None:
    """Print a table for each engine."""
    repository = default_repository(console.print)
    for name in ENGINES:
        path = repository / name / "1" / "model.onnx"
        table = Table("operator", "ms", "share", "GFLOP/s", title=f"{name}, {side} x {side}")
        for cells in rows(calls(path, example(repository, name, side), runs), runs):
            table.add_row(*cells)
        console.print(table)
    gflops = product_gflops(runs)
    console.print(f"A product of {PRODUCT} x {PRODUCT} matrices: {gflops:.0f} GFLOP/s")


if __name__ == "__main__":
    typer.run(main)
