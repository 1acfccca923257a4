"""The served OpenAPI document against the server: schemathesis sends what it allows and forbids."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import TOKEN
from tests.photographs import file_of, photograph
from tests.server import ROOT, Server

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(params=["livepeer", "http"])
def served(request: pytest.FixtureRequest) -> Server:
    """A server of each profile that asks for a token, as the document says."""
    name = {"livepeer": "guarded_server", "http": "http_server"}[request.param]
    server: Server = request.getfixturevalue(name)
    return server


def picture_url(server: Server) -> str:
    response = httpx.post(
        f"{server.url}/upscale",
        files={"image": file_of(photograph("cat", 8, 8))},
        data={"prompt": "a cat", "num_inference_steps": "1"},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
        trust_env=False,
    )
    return str(response.json()["images"][0]["url"])


def test_answers_are_as_documented(served: Server) -> None:
    """No 5xx at all, no status, type or body that the document does not have, 405s with Allow."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    result = subprocess.run(
        [*command, "run", f"{served.url}/openapi.json", "--no-color"],
        cwd=ROOT,
        env={**os.environ, "PICTURE_URL": picture_url(served), "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout
    assert "generated, " in result.stdout
