"""JSON in the place of a form, files in the place of JSON, and HTTP's habits by the byte."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.end_to_end.conftest import TOKEN
from tests.faults.memory import MIB, bounded
from tests.faults.raw_http import answer, connection
from tests.photographs import file_of, photograph
from tests.server import HTTP, Server

IMAGE = file_of(photograph("cat", 24, 16))
FIELDS: dict[str, Any] = {"prompt": "a cat", "seed": 7, "num_inference_steps": 2}
JSON = {"Content-Type": "application/json"}
LARGE = b'{"prompt": "x", "image": "' + b"QUJD" * 25_000_000 + b'"}'  # 100 MB
HOSTILE = {
    "100 MB of base64": LARGE,
    "9 MB of base64": LARGE[:9_000_000] + b'"}',
    "arrays 100000 deep": b"[" * 100_000,
    "millions of arrays": b"[" + b"[]," * 3_000_000 + b"[]]",
    "a field of arrays 100000 deep": b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 10000 digits": b'{"seed": ' + b"9" * 10_000 + b"}",
    "a name twice": b'{"prompt": "x", "prompt": "x", "image": "QQ=="}',
    "NaN": b'{"prompt": "x", "image": "QQ==", "guidance_scale": NaN}',
    "half of a surrogate pair": b'{"prompt": "\\ud83d", "image": "QQ=="}',
}
REFUSED: dict[str, dict[str, Any]] = {
    "no image": {"image": b"text"},
    "too many pixels": {"image": file_of(Image.new("L", (2000, 2000)))},
    "too many steps": {"num_inference_steps": 1001},
    "another model": {"model_id": "other"},
    "seed past 64 bits": {"seed": 2**63},
    "no prompt": {"prompt": ""},
    "a format that is none": {"output_format": "gif"},
}


@pytest.fixture
def served(server: Server) -> Iterator[Server]:
    """The next request works."""
    yield server
    assert server.upscale(IMAGE, num_inference_steps=1)


def post(server: Server, **fields: Any) -> httpx.Response:
    body = {"image": base64.b64encode(IMAGE).decode(), **FIELDS, **fields}
    return HTTP.post(f"{server.url}/upscale", json=body)


def test_json_gives_the_picture_of_the_form(server: Server) -> None:
    form = server.post(IMAGE, **FIELDS)
    assert post(server).content == form.content
    file = post(server, response="image")
    assert file.content == server.upscale(IMAGE, **FIELDS)
    assert (file.headers["upscale-seed"], file.headers["upscale-nsfw"]) == ("7", "false")


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_every_format_of_a_file_is_that_of_the_form(server: Server, output_format: str) -> None:
    fields = {
        **FIELDS,
        "negative_prompt": "blur",
        "guidance_scale": 4.5,
        "noise_level": 30,
        "safety_check": False,
        "output_format": output_format,
    }
    form = server.post(IMAGE, **fields)
    assert post(server, **fields).content == form.content
    file = post(server, **fields, response="image")
    assert file.headers["content-type"] == f"image/{output_format}"
    assert base64.b64encode(file.content) in form.content


@pytest.mark.parametrize("profile", ["guarded_server", "http_server"])
@pytest.mark.parametrize("name", REFUSED)
def test_json_gives_the_errors_of_the_form(
    request: pytest.FixtureRequest, profile: str, name: str
) -> None:
    """In both profiles of statuses."""
    url = f"{request.getfixturevalue(profile).url}/upscale"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    fields: dict[str, Any] = {**FIELDS, "image": IMAGE, **REFUSED[name]}
    image = fields.pop("image")
    form = HTTP.post(url, files={"image": image}, data=fields, headers=headers)
    body = {**fields, "image": base64.b64encode(image).decode()}
    response = HTTP.post(url, json=body, headers=headers)
    assert form.status_code >= 400
    assert (response.status_code, response.json()) == (form.status_code, form.json())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_within_bounds(served: Server, name: str) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(HOSTILE[name]), 100_000):
            yield HOSTILE[name][start : start + 100_000]

    with bounded(100 * MIB, served.process.pid):
        response = HTTP.post(f"{served.url}/upscale", content=pieces(), headers=JSON)
        assert response.status_code == 400
        assert response.json()["detail"]["msg"]


def test_an_estimate_is_of_this_server(server: Server) -> None:
    assert post(server).status_code == 200
    body = {"width": 24, "height": 16, "num_inference_steps": 2}
    estimate = HTTP.post(f"{server.url}/estimate", json=body).json()
    assert (estimate["accepted"], estimate["tiles"]) == (True, 1)
    assert (estimate["output_width"], estimate["output_height"]) == (96, 64)
    assert estimate["seconds"] > 0
    rows = server.counts("unet")[0]
    post(server)
    assert server.counts("unet")[0] - rows == estimate["unet_rows"]


@pytest.mark.parametrize("target", [b"/livez", b"http://somewhere:80/livez"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_targets_and_methods(server: Server, method: bytes, target: bytes) -> None:
    with connection(server) as client:
        client.sendall(
            method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        if method == b"GET":
            assert answer(client)[0] == 200
            return
        received = b""
        while part := client.recv(65536):
            received += part
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"\r\n\r\n")
