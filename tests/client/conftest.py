"""A server on loopback, and a client that no variable of the machine leads elsewhere."""

from collections.abc import Iterator

import pytest

from tests.client.loopback import Loopback


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("UPSCALE_URL", "UPSCALE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server
