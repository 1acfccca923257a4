"""What the product imports: itself, and what the lock to run installs."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT, pins

PACKAGES = ("cli", "client", "doctor", "embedded", "export", "gateway", "stages")
FILES = sorted(
    path for folder in (*PACKAGES, "model_repository") for path in (ROOT / folder).rglob("*.py")
)
# Triton's own, and what an extra brings where there is a GPU.
ELSEWHERE = {"triton_python_backend_utils", "tensorrt"}


def imported(path: Path) -> set[str]:
    """The first names of all modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_product_knows_nothing_of_what_is_around_it(folder: str) -> None:
    around = {"benchmarks", "demo", "tests"}
    for path in (ROOT / folder).rglob("*.py"):
        allowed = {"benchmarks"} if path == ROOT / "cli" / "bench.py" else set()
        assert imported(path) & around <= allowed, path


def test_what_it_imports_is_in_the_lock_to_run() -> None:
    """So that `make run` has all that it needs, without what is for tests."""
    locked = {*pins(ROOT / "requirements.txt"), *pins(ROOT / "requirements-torch.txt")}
    distributions = packages_distributions()
    own = {*PACKAGES, "benchmarks"} | sys.stdlib_module_names | ELSEWHERE
    for path in FILES:
        for module in imported(path) - own:
            names = {re.sub(r"[._]", "-", name).lower() for name in distributions[module]}
            assert names & locked, f"{path} imports {module}"
