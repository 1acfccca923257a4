"""What AOTInductor leaves; that it serves the same pixels stands in end_to_end/test_engines.py."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from export.aoti_engine import export_aoti
from tests.export.test_onnx_engine import NETWORK


def test_what_the_compiler_writes_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches: list[Path] = []

    def compile_and_package(*_: Any, package_path: str, **__: Any) -> None:
        caches.append(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]))
        (caches[0] / "wrapper.so").touch()
        Path(package_path).touch()

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", compile_and_package)
    checkpoint: Any = None
    module = NETWORK.module(checkpoint).eval()
    export_aoti(NETWORK, module, checkpoint, tmp_path / "model.pt2", "cpu")
    assert caches[0].parent == tmp_path, "so that it goes with what is built there"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
