"""Gateways that are set otherwise than by default, and a browser, shared by the tests here."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.end_to_end.page import Open, chromium, opener
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a file's tests only: while it is there, Playwright runs an event loop on their thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    with opener(browser) as open_it:
        yield open_it
