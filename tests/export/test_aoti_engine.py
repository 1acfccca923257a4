"""AOTInductor's refusals; that it serves the same pixels stands in end_to_end/test_engines.py."""

from pathlib import Path
from typing import Any

import pytest

from export.aoti_engine import export_aoti
from export.errors import ExportError
from export.networks import NETWORKS


def test_without_a_compiler_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module: Any = None
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ExportError, match=r"no-such-compiler, which is not installed .*apt install"
    ):
        export_aoti(NETWORKS[0], module, module, tmp_path / "model.pt2", "cpu")
