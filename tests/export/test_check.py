"""The table of `upscale export --check`."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from cli.__main__ import app
from export import check
from export.checkpoint import load_checkpoint
from export.engine_choice import Engine
from export.networks import NETWORKS

FIGURE = re.compile(r"\d+\.\d")


@pytest.mark.parametrize(
    "engines",
    [(Engine.ONNX, Engine.TENSORRT), pytest.param(tuple(Engine), marks=pytest.mark.long)],
    ids=["without a compiler", "all"],
)
def test_every_engine_is_built_verified_and_timed_or_says_why_not(
    checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, engines: tuple[Engine, ...]
) -> None:
    """With the text encoder, the quickest to compile."""
    monkeypatch.setattr(check, "networks_of", lambda _: NETWORKS[:1])
    checkpoint = load_checkpoint(str(checkpoints("narrow")), None, "none", None)
    table = check.check_engines(checkpoint, Progress(disable=True), engines)
    columns = [list(column.cells) for column in table.columns]
    rows = {(row[1], row[2]): row for row in zip(*columns, strict=True)}
    assert len(rows) == 3 * len(engines)
    for engine, precision in (
        ("onnx", "fp32"),
        ("onnx", "fp16"),
        ("aoti", "fp32"),
        ("aoti", "fp16"),
        ("aoti", "bf16"),
    ):
        if engine not in engines:
            continue
        _, _, _, error, allowed, *milliseconds, why = rows[engine, precision]
        assert float(str(error)) <= float(str(allowed)), precision
        assert all(FIGURE.fullmatch(str(cell)) for cell in milliseconds)
        assert why == ""
    assert "no bf16 convolutions on CPUs" in str(rows["onnx", "bf16"][-1])
    assert "this machine has none" in str(rows["tensorrt", "fp32"][-1])
    output = io.StringIO()
    Console(file=output, width=160).print(table)
    assert "text_encoder" in output.getvalue()


def test_check_writes_nothing_and_export_writes_somewhere() -> None:
    for arguments in ([], ["--check", "--output", "somewhere"]):
        result = CliRunner().invoke(app, ["export", "--model", "nothing", *arguments])
        assert result.exit_code == 2
        assert "--check, which writes nothing" in result.output.replace("\n", " ")
