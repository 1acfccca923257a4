"""Real servers over tiny models, and real photographs, shared by every test that asks."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded.default_repository import default_repository
from tests.server import Server
from tests.tiny_pipeline import write

ROOT = Path(__file__).parent.parent
WITHOUT_SAFETY_CHECKER = "wide"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint by its architecture's name."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(architecture: str) -> Path:
        path = folder / architecture
        if not path.exists():
            write(path, architecture)
        return path

    return checkpoint


@pytest.fixture(scope="session")
def repositories(
    checkpoints: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The repository that `upscale export` makes of a tiny checkpoint."""
    folder = tmp_path_factory.mktemp("repositories")

    def repository(architecture: str) -> Path:
        path = folder / architecture
        if not path.exists():
            command = [sys.executable, "-m", "cli", "export"]
            command += ["--model", str(checkpoints(architecture)), "--output", str(path)]
            command += ["--precision", "fp32"]  # what diffusers' pixels need, with a GPU too
            if architecture == WITHOUT_SAFETY_CHECKER:
                command += ["--safety-checker", "none"]
            subprocess.run(command, cwd=ROOT, check=True)
        return path

    return repository


@pytest.fixture(scope="session")
def servers(repositories: Callable[[str], Path]) -> Iterator[Callable[[str], Server]]:
    """A running `upscale serve` by its model's architecture; all end with the session."""
    running: dict[str, Server] = {}

    def server(architecture: str) -> Server:
        if architecture not in running:
            running[architecture] = Server(repositories(architecture)).start()
        return running[architecture]

    yield server
    for started in running.values():
        started.stop()


@pytest.fixture(scope="session")
def server(servers: Callable[[str], Server]) -> Server:
    return servers("narrow")


@pytest.fixture(scope="session")
def demo_server() -> Iterator[Server]:
    """A running `upscale serve` with the model that is shipped."""
    with Server(default_repository(print)) as server:
        yield server
