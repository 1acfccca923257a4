"""What `Connection` stands on in uvicorn, which promises none of it."""

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from gateway.http.connection import Connection

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]


def test_uvicorn_is_the_one_whose_internals_were_read() -> None:
    assert f"uvicorn=={version('uvicorn')}" in PROJECT["dependencies"], (
        "gateway/http/connection.py subclasses uvicorn's H11Protocol, which is no public interface:"
        " read what has changed in h11_impl.py, run tests/gateway/http and tests/faults, then pin"
        " the new version in pyproject.toml."
    )


def test_what_connection_overrides_and_uses_is_there() -> None:
    for name in ("connection_made", "connection_lost", "resume_writing"):
        ours, theirs = getattr(Connection, name), getattr(H11Protocol, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )
    source = inspect.getsource(H11Protocol.__init__)
    assert all(
        f"self.{name}" in source
        for name in ("loop", "cycle", "transport", "timeout_keep_alive_task")
    )
    assert "self.response_complete" in inspect.getsource(RequestResponseCycle.__init__)


def test_fastapis_new_parts_are_bounded() -> None:
    """fastapi.sse and fastapi.telemetry came lately and may change with every minor version."""
    installed = version("fastapi").split(".")
    major, minor = int(installed[0]), int(installed[1])
    assert f"fastapi>={major}.{minor},<{major}.{minor + 1}" in PROJECT["dependencies"]
