"""Gateways that are set otherwise than by default, shared by the tests here."""

from collections.abc import Iterator

import pytest

from tests.server import Server, gateway_before

TOKEN = "sesame"


@pytest.fixture(scope="session")
def guarded_server(server: Server) -> Iterator[Server]:
    """It asks for TOKEN."""
    with gateway_before(server, AUTH_TOKEN=TOKEN) as guarded:
        yield guarded


@pytest.fixture(scope="session")
def http_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As an operator without go-livepeer sets it: HTTP's own statuses, links to results, TOKEN."""
    folder = tmp_path_factory.mktemp("media")
    settings = {"ERROR_PROFILE": "http", "MEDIA": "local", "MEDIA_DIR": str(folder)}
    with gateway_before(server, AUTH_TOKEN=TOKEN, **settings) as gateway:
        yield gateway
