"""Real servers over tiny models, and real photographs, shared by every test that asks."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests import leftovers
from tests.repositories import demo_repository, exported
from tests.server import Server, wait_until
from tests.tiny_pipeline import write

# Beside another worker and the servers of both, threads that wait for each other take ten times as
# long as one does alone.
torch.set_num_threads(1)
SERVERS = {"checkpoints", "repositories", "servers", "server", "breakable_server", "demo_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests need a server come first: with two workers, short ones fill the end."""
    with_server = {item.path for item in items if SERVERS & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in with_server)


@pytest.fixture(scope="session", autouse=True)
def _nothing_stays_behind() -> Iterator[None]:
    """No process and no shared memory of ours outlives the tests."""
    began = time.time()
    leftovers.mark()
    yield
    wait_until(lambda: not list(leftovers.processes()), 10)
    assert [path for pid in (os.getpid(), *Server.started) for path in leftovers.files(pid)] == []
    leftovers.remove_environments(began)


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
def repositories(checkpoints: Callable[[str], Path]) -> Callable[[str], Path]:
    """The repository that `upscale export` makes of a tiny checkpoint, by its name in EXPORTS.

    Nobody may change it: it is kept for the next run. Copy it.
    """
    ready: dict[str, Path] = {}

    def repository(name: str) -> Path:
        if name not in ready:
            ready[name] = exported(name, checkpoints)
        return ready[name]

    return repository


@pytest.fixture(scope="session")
def servers(repositories: Callable[[str], Path]) -> Iterator[Callable[[str], Server]]:
    """A running `upscale serve` by its repository's name; all end with the session."""
    running: dict[str, Server] = {}

    def server(name: str) -> Server:
        if name not in running:
            running[name] = Server(repositories(name)).start()
        return running[name]

    yield server
    for started in running.values():
        started.kill()


@pytest.fixture(scope="session")
def server(servers: Callable[[str], Server]) -> Server:
    return servers("narrow")


@pytest.fixture(scope="session")
def breakable_server(repositories: Callable[[str], Path]) -> Iterator[Server]:
    """One that tests may break: it makes trials and starts again what has ended."""
    with Server(repositories("narrow"), HEALTH_INTERVAL_S="3") as server:
        yield server


@pytest.fixture(scope="session")
def demo_server() -> Iterator[Server]:
    """A running `upscale serve` with the model that is shipped."""
    with Server(demo_repository()) as server:
        yield server
