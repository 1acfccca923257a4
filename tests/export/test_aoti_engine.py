"""AOTInductor with a network of one convolution; that the real ones serve the same pixels stands in
end_to_end/test_engines.py.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from export.aoti_engine import export_aoti, load_aoti
from export.errors import ExportError
from export.exactness import check_error, measure
from export.networks import NETWORKS
from export.precision import Precision
from stages.engines import AotiEngine
from tests.export.test_onnx_engine import CHECKPOINT, NETWORK


def test_without_a_compiler_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module: Any = None
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ExportError, match=r"no-such-compiler, which is not installed .*apt install"
    ):
        export_aoti(NETWORKS[0], module, module, tmp_path / "model.pt2", "cpu")


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
