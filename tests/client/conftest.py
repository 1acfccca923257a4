"""A server on loopback, and a client that no variable of the machine leads elsewhere."""

from collections.abc import Iterator

import pytest

from tests.client.loopback import Loopback


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("UPSCALE_URL", "UPSCALE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def loopback(_loopback: Loopback) -> Loopback:
    """The one server of all tests, for a test as if it were new."""
    _loopback.reset()
    return _loopback
