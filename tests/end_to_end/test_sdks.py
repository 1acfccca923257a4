"""The published Livepeer SDKs, PyPI's livepeer-ai and npm's @livepeer/ai, called as users do."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livepeer_ai import Livepeer
from livepeer_ai.models.errors import HTTPError, HTTPValidationError, SDKError
from PIL import Image

from demo.photographs import reduce
from demo.test_card import draw_test_card
from tests.end_to_end.conftest import TOKEN
from tests.photographs import file_of, photograph
from tests.server import ROOT, Server, file_of_url

JAVASCRIPT = ROOT / "tests" / "end_to_end" / "javascript_sdk"

Answer = dict[str, Any]  # images, or error and what the SDK's error holds
Sdk = Callable[..., Answer]


def python_sdk(
    url: str, path: Path, given: str = "bytes", token: str = "any", **fields: Any
) -> Answer:
    with path.open("rb") as file, Livepeer(http_bearer=token, server_url=url) as sdk:
        content = file.read() if given == "bytes" else file
        request: Any = {"prompt": "a cat", "image": {"file_name": "photo.png", "content": content}}
        try:
            response = sdk.generate.upscale(request={**request, **fields})
        except (HTTPError, HTTPValidationError) as error:
            return {"error": type(error).__name__, **error.data.model_dump()}
        except SDKError as error:
            return {"error": "SDKError", "status": error.status_code}
    assert response.image_response is not None
    return dict(response.image_response.model_dump())


def javascript_sdk(
    url: str, path: Path, given: str = "bytes", token: str | None = None, **fields: Any
) -> Answer:
    assert shutil.which("node"), "This test needs Node.js 20 or newer, but there is no `node`."
    assert (JAVASCRIPT / "node_modules").exists(), "`make javascript-sdk` installs what is missing."
    request = {camel_case(name): value for name, value in {"prompt": "a cat", **fields}.items()}
    call = {"url": url, "token": token, "path": str(path), "given": given, "request": request}
    command = ["node", "upscale.mjs", json.dumps(call)]
    result = subprocess.run(command, cwd=JAVASCRIPT, capture_output=True, check=True, timeout=60)
    answer: Answer = json.loads(result.stdout)
    return answer


def camel_case(name: str) -> str:
    return re.sub("_(.)", lambda match: match[1].upper(), name)


both = pytest.mark.parametrize("sdk", [python_sdk, javascript_sdk])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(file_of(photograph("cat", 24, 16)))
    return path


@pytest.mark.parametrize(
    ("sdk", "given"),
    [
        (python_sdk, "bytes"),
        (python_sdk, "file"),
        (javascript_sdk, "bytes"),
        (javascript_sdk, "file"),
        (javascript_sdk, "stream"),
    ],
)
def test_a_picture(server: Server, photo: Path, sdk: Sdk, given: str) -> None:
    answer = sdk(server.url, photo, given, seed=7, num_inference_steps=2, model_id="narrow")
    [media] = answer["images"]
    assert (media["seed"], media["nsfw"]) == (7, False)
    expected = server.upscale(photo.read_bytes(), prompt="a cat", seed=7, num_inference_steps=2)
    assert file_of_url(media["url"]) == expected


@both
def test_defaults_and_a_slash_at_the_end(server: Server, photo: Path, sdk: Sdk) -> None:
    [media] = sdk(f"{server.url}/", photo)["images"]
    fields = {"seed": media["seed"], "num_inference_steps": 75}
    expected = server.upscale(photo.read_bytes(), prompt="a cat", **fields)
    assert file_of_url(media["url"]) == expected


def test_python_without_waiting(server: Server, photo: Path) -> None:
    async def call() -> None:
        async with Livepeer(http_bearer="any", server_url=server.url) as sdk:
            image: Any = {"file_name": "photo.png", "content": photo.read_bytes()}
            request: Any = {"prompt": "a cat", "image": image, "num_inference_steps": 2}
            response = await sdk.generate.upscale_async(request=request)
            assert response.image_response is not None
            assert response.image_response.images[0].nsfw is False

    asyncio.run(call())


@both
def test_what_the_safety_checker_flags(demo_server: Server, tmp_path: Path, sdk: Sdk) -> None:
    card = tmp_path / "card.png"
    card.write_bytes(file_of(Image.fromarray(reduce(draw_test_card()[::2, ::2]))))
    for asked in (True, False):
        answer = sdk(demo_server.url, card, safety_check=asked, num_inference_steps=10)
        assert answer["images"][0]["nsfw"] is asked


@both
def test_tokens(guarded_server: Server, photo: Path, sdk: Sdk) -> None:
    allowed = sdk(guarded_server.url, photo, token=TOKEN, num_inference_steps=1)
    assert allowed["images"]
    refused = {"error": "HTTPError", "detail": {"msg": "Invalid bearer token."}}
    assert sdk(guarded_server.url, photo, token="wrong") == refused
    if sdk is javascript_sdk:  # the other one has no call without a token
        assert sdk(guarded_server.url, photo) == refused


@both
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_id": "other"}, "pipeline configured with narrow but called with other."),
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001; at most 1000 are allowed."),
    ],
)
def test_values_that_are_refused(
    server: Server, photo: Path, sdk: Sdk, fields: Answer, message: str
) -> None:
    answer = sdk(server.url, photo, **fields)
    assert answer == {"error": "HTTPError", "detail": {"msg": message}}


@both
def test_a_file_that_is_no_image(server: Server, sdk: Sdk) -> None:
    answer = sdk(server.url, Path(__file__))
    assert answer["error"] == "HTTPError"
    assert answer["detail"]["msg"].startswith("The image could not be read; send a JPEG, PNG")


@both
def test_a_field_that_is_missing(server: Server, photo: Path, sdk: Sdk) -> None:
    answer = sdk(server.url, photo, prompt="")
    entry = {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}
    assert answer == {"error": "HTTPValidationError", "detail": [entry]}


@both
def test_statuses_of_http_that_the_sdks_do_not_know(
    http_server: Server, tmp_path: Path, sdk: Sdk
) -> None:
    """They have no class of its own for them, but the status is there."""
    path = tmp_path / "large.png"
    path.write_bytes(file_of(Image.new("L", (2000, 2000))))
    answer = sdk(http_server.url, path, token=TOKEN)
    assert (answer["error"], answer["status"]) == ("SDKError", 413)
