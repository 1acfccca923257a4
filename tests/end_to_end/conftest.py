"""Servers that are set otherwise than by default, shared by the tests here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server

TOKEN = "sesame"


@pytest.fixture(scope="session")
def guarded_server(repositories: Callable[[str], Path]) -> Iterator[Server]:
    """It asks for TOKEN."""
    with Server(repositories("narrow"), AUTH_TOKEN=TOKEN) as server:
        yield server


@pytest.fixture(scope="session")
def http_server(
    repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """As an operator without go-livepeer sets it: HTTP's own statuses, links to results, TOKEN."""
    folder = tmp_path_factory.mktemp("media")
    settings = {"ERROR_PROFILE": "http", "MEDIA": "local", "MEDIA_DIR": str(folder)}
    with Server(repositories("narrow"), AUTH_TOKEN=TOKEN, **settings) as server:
        yield server
