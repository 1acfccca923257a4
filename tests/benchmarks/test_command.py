"""`upscale bench` without what it needs."""

import sys

import pytest
from typer.testing import CliRunner

from cli.__main__ import app


def test_what_is_not_installed_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("benchmarks.http_load", "benchmarks.section"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(app, ["bench", "http"])
    assert result.exit_code == 1
    said = "Error: matplotlib is not installed; `make venv-test` installs it."
    assert result.stderr.replace("\n", " ").strip() == said
