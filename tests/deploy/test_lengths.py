"""No function that does not fit on a screen, no module that takes long to read."""

import ast
import subprocess

import pytest

from tests.deploy.chart import ROOT

FUNCTION, MODULE = 60, 300  # lines
TRACKED = subprocess.run(
    ["git", "ls-files", "*.py"],  # noqa: S607
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()


@pytest.mark.parametrize("name", [name for name in TRACKED if not name.startswith("tests/")])
def test_what_is_long_is_split(name: str) -> None:
    text = (ROOT / name).read_text()
    assert len(text.splitlines()) <= MODULE
    long = {
        node.name: length
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION
    }
    assert long == {}
