"""Bad requests get the contract's answers, and a good one right after still works."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.photographs import file_of, photograph
from tests.server import Server

GOOD = file_of(photograph("rocket", 16, 16))
HUGE = file_of(Image.new("L", (4000, 4000)))
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def form(image: bytes | None = GOOD, **fields: str) -> dict[str, Any]:
    data = {key: value for key, value in {"prompt": "x", **fields}.items() if value != "-"}
    return {"data": data, "files": {} if image is None else {"image": image}}


def raw(content: bytes, headers: dict[str, str]) -> dict[str, Any]:
    return {"content": content, "headers": headers}


INVALID_IMAGE = {
    "text": (b"I am no image", "send a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file"),
    "empty file": (b"", "is empty"),
    "truncated PNG": (GOOD[: len(GOOD) // 2], "damaged or cut short"),
    "truncated JPEG": (file_of(photograph("cat", 64, 64), "JPEG")[:900], "damaged or cut short"),
    "PNG of a wrong checksum": (GOOD[:60] + b"\0\0\0\0" + GOOD[64:], "damaged or cut short"),
    "another format": (file_of(Image.new("RGB", (8, 8)), "PPM"), "could not be read"),
    "too many pixels": (HUGE, "4000 x 4000 pixels, which counts as 16000000; at most 1048576 are"),
    "32-bit channels": (
        file_of(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
        "8 or 16 bits per channel",
    ),
}
INVALID_VALUES = {
    "another model": (
        form(model_id="other/model"),
        "pipeline configured with narrow but called with other/model.",
    ),
    "too many steps": (form(num_inference_steps="1001"), "at most 1000 are allowed"),
    "too much noise": (form(noise_level="351"), "at most 350 is allowed"),
}
INVALID_FIELDS = {
    "no prompt": (form(prompt="-"), "prompt"),
    "no image": (form(None), "image"),
    "image as text": ({"data": {"prompt": "x", "image": "text"}}, "image"),
    "seed is no number": (form(seed="seven"), "seed"),
    "seed past 64 bits": (form(seed=str(2**63)), "seed"),
    "seed below 64 bits": (form(seed=str(-(2**63) - 1)), "seed"),
    "fractional seed": (form(seed="1.5"), "seed"),
    "steps are no number": (form(num_inference_steps="many"), "num_inference_steps"),
    "safety_check is no boolean": (form(safety_check="perhaps"), "safety_check"),
    "guidance is not finite": (form(guidance_scale="nan"), "guidance_scale"),
    "negative noise": (form(noise_level="-1"), "noise_level"),
    "JSON instead of a form": ({"json": {"prompt": "x"}}, "prompt"),
    "multipart cut short": (
        raw(b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx', MULTIPART),
        "image",
    ),
}
BROKEN_BODIES = {
    "multipart without boundary": raw(b"x", {"Content-Type": "multipart/form-data"}),
    "multipart of garbage": raw(b"\0\1\2--b--\r\n", MULTIPART),
}


@pytest.fixture(autouse=True)
def _good_request_after(server: Server) -> Iterator[None]:
    yield
    assert server.upscale(GOOD, num_inference_steps=1)


def post(server: Server, **request: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/upscale", timeout=60, trust_env=False, **request)


def message(response: httpx.Response) -> str:
    """The text of the contract's HTTPError; fails on any other shape."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"detail"}
    assert set(body["detail"]) == {"msg"}
    text: str = body["detail"]["msg"]
    for inside in ("Traceback", "Error(", "/", "PIL", "triton"):
        assert inside not in text.replace("other/model", "")
    return text


@pytest.mark.parametrize("name", INVALID_IMAGE)
def test_invalid_image_is_400(server: Server, name: str) -> None:
    content, expected = INVALID_IMAGE[name]
    response = post(server, **form(content))
    assert response.status_code == 400
    assert expected in message(response)


@pytest.mark.parametrize("name", INVALID_VALUES)
def test_invalid_value_is_400(server: Server, name: str) -> None:
    request, expected = INVALID_VALUES[name]
    response = post(server, **request)
    assert response.status_code == 400
    assert expected in message(response)


@pytest.mark.parametrize("name", INVALID_FIELDS)
def test_invalid_field_is_422(server: Server, name: str) -> None:
    request, field = INVALID_FIELDS[name]
    response = post(server, **request)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"
    entries = response.json()["detail"]
    assert all(set(entry) == {"loc", "msg", "type"} for entry in entries)
    assert ["body", field] in [entry["loc"] for entry in entries]


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_broken_body_is_400(server: Server, name: str) -> None:
    response = post(server, **BROKEN_BODIES[name])
    assert response.status_code == 400
    assert message(response)


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_body_is_400(server: Server, announced: bool) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n'
        for _ in range(11):
            yield bytes(1_000_000)

    content = bytes(11_000_000) if announced else chunks()
    response = post(server, content=content, headers=MULTIPART)
    assert response.status_code == 400
    assert message(response) == "The request body is larger than 10000000 bytes."


def test_unknown_path_and_method(server: Server) -> None:
    assert server.get("/nothing").status_code == 404
    assert message(server.get("/nothing")) == "Not Found"
    assert server.get("/upscale").status_code == 405
    assert message(server.get("/upscale")) == "Method Not Allowed"


def test_token_is_asked_for(guarded_server: Server) -> None:
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic sesame"}):
        response = post(guarded_server, **form(), headers=header)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert message(response) == "Invalid bearer token."
    # Before the body is read: who has no token learns nothing of the fields and takes no place.
    assert post(guarded_server, **form(None)).status_code == 401
    assert post(guarded_server, **form(model_id="other")).status_code == 401
    good = form(num_inference_steps="1")
    allowed = post(guarded_server, **good, headers={"Authorization": "Bearer sesame"})
    assert allowed.status_code == 200
    assert guarded_server.get("/health").json() == {"status": "OK"}
