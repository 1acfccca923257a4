"""AOTInductor with a network of one convolution; that the real ones serve the same pixels stands in
end_to_end/test_engines.py.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from export.aoti_engine import export_aoti, load_aoti
from export.exactness import check_error, measure
from export.precision import Precision
from stages.engines import AotiEngine
from tests.export.test_onnx_engine import CHECKPOINT, NETWORK


def test_what_the_compiler_writes_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches: list[Path] = []

    def compile_and_package(*_: Any, package_path: str, **__: Any) -> None:
        caches.append(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]))
        (caches[0] / "wrapper.so").touch()
        Path(package_path).touch()

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", compile_and_package)
    module = NETWORK.module(CHECKPOINT).eval()
    export_aoti(NETWORK, module, CHECKPOINT, tmp_path / "model.pt2", "cpu")
    assert caches[0].parent == tmp_path, "so that it goes with what is built there"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_a_package_runs_as_it_is_served_and_where_it_was_compiled_for(tmp_path: Path) -> None:
    """Also where somebody asks for a GPU, as a server does that sees one."""
    module = NETWORK.module(CHECKPOINT).eval()
    path = tmp_path / "model.pt2"
    export_aoti(NETWORK, module, CHECKPOINT, path, "cpu")
    run = load_aoti(path, "cpu")
    check_error(NETWORK, Precision.FP32, measure(NETWORK, module, CHECKPOINT, run).error)
    sample = torch.ones(1, 3, 8, 8)
    for device in ("cpu", "cuda:0"):
        engine = AotiEngine(path, device)
        assert engine.device == "cpu"
        [out] = engine({"sample": sample})
        assert torch.equal(torch.as_tensor(out), run({"sample": sample}))
