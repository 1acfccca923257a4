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


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # The profile with more routes and statuses, the same examples in every run.
        ("http_server", ["--generation-deterministic", "--max-examples", "15"]),
        # Others in every run; the report has the seed.
        pytest.param("guarded_server", ["--max-examples", "100"], marks=pytest.mark.long),
        pytest.param("http_server", ["--max-examples", "100"], marks=pytest.mark.long),
    ],
)
def test_answers_are_as_documented(
    request: pytest.FixtureRequest, name: str, options: list[str]
) -> None:
    """No 5xx at all, no status, type or body that the document does not have, 405s with Allow."""
    served: Server = request.getfixturevalue(name)  # it asks for a token, as the document says
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    result = subprocess.run(
        [*command, "run", f"{served.url}/openapi.json", "--no-color", *options],
        cwd=ROOT,
        env={**os.environ, "PICTURE_URL": picture_url(served), "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout
    assert "generated, " in result.stdout
