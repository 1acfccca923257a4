"""`POST /upscale` with a JSON body: what the form gives, and bodies that are meant to do harm."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.end_to_end.conftest import TOKEN
from tests.faults.memory import MIB, bounded
from tests.photographs import file_of, photograph
from tests.server import HTTP, Server, file_of_url, gateway_before

GOOD = file_of(photograph("rocket", 24, 16))
BASE64 = base64.b64encode(GOOD).decode()
FIELDS = {"prompt": "a rocket", "seed": 5, "num_inference_steps": 2}
JSON = {"Content-Type": "application/json"}
GROWTH = 64 * MIB  # a body of MAX_BODY_BYTES, its text and what is made of it
HUGE_BYTES = 100_000_000


def post_json(server: Server, token: str = TOKEN, accept: str = "*/*", **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    return HTTP.post(f"{server.url}/upscale", json=body, headers=headers)


def post_form(server: Server, image: bytes, **fields: Any) -> httpx.Response:
    data = {name: str(value) for name, value in fields.items()}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return HTTP.post(f"{server.url}/upscale", files={"image": image}, data=data, headers=headers)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_same_values_give_the_same_bytes(server: Server, output_format: str) -> None:
    fields = {
        **FIELDS,
        "negative_prompt": "blur",
        "guidance_scale": 4.5,
        "noise_level": 30,
        "safety_check": False,
        "output_format": output_format,
    }
    expected = post_form(server, GOOD, **fields)
    answer = post_json(server, image=BASE64, **fields)
    assert (answer.status_code, answer.content) == (200, expected.content)
    image = post_json(server, accept=f"image/{output_format}", image=BASE64, **fields)
    assert image.headers["content-type"] == f"image/{output_format}"
    assert base64.b64encode(image.content).decode() in expected.json()["images"][0]["url"]


def test_defaults_are_those_of_the_form(server: Server) -> None:
    image = base64.b64encode(file_of(photograph("cat", 8, 8))).decode()
    expected = post_form(server, base64.b64decode(image), prompt="x", seed=1)
    assert post_json(server, prompt="x", seed=1, image=image).content == expected.content


def test_the_field_stream(server: Server) -> None:
    body = {**FIELDS, "image": BASE64, "stream": True}
    lines = post_json(server, **body).text.splitlines()
    assert lines[0] == "event: accepted"
    data = [line[6:] for line in lines if line.startswith("data: ")]
    media = json.loads(data[-1])["images"][0]
    assert file_of_url(media["url"]) == server.upscale(GOOD, **FIELDS)


REFUSED: dict[str, dict[str, Any]] = {
    "no image": {"image": b"text"},
    "too large": {"image": file_of(Image.new("L", (2000, 2000)))},
    "too many steps": {"num_inference_steps": 1001},
    "another model": {"model_id": "other"},
    "seed past 64 bits": {"seed": 2**63},
    "no prompt": {"prompt": ""},
    "a format that is none": {"output_format": "gif"},
}


@pytest.mark.parametrize("profile", ["guarded_server", "http_server"])
@pytest.mark.parametrize("name", REFUSED)
def test_the_same_values_give_the_same_errors(
    request: pytest.FixtureRequest, profile: str, name: str
) -> None:
    """In both profiles of statuses."""
    served: Server = request.getfixturevalue(profile)
    fields = {**FIELDS, "image": GOOD, **REFUSED[name]}
    image = fields.pop("image")
    expected = post_form(served, image, **fields)
    answer = post_json(served, image=base64.b64encode(image).decode(), **fields)
    assert expected.status_code >= 400
    assert (answer.status_code, answer.json()) == (expected.status_code, expected.json())


def test_the_token_is_asked_for(guarded_server: Server) -> None:
    answer = post_json(guarded_server, "wrong", image=BASE64, **FIELDS)
    assert (answer.status_code, answer.json()) == (
        401,
        {"detail": {"msg": "Invalid bearer token."}},
    )


def harmful(name: str) -> Iterator[bytes]:
    """A body in pieces, so that its size is not announced."""
    good = json.dumps({**FIELDS, "image": BASE64})
    deep = "[" * 100_000 + "]" * 100_000
    bodies = {
        "arrays 100000 deep": deep,
        "a field of arrays 100000 deep": good.replace('"a rocket"', deep),
        "objects 100000 deep": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "700000 fields": "{" + ",".join(f'"{number}":0' for number in range(700_000)) + "}",
        "a name twice": good.replace("{", '{"seed": 1, ', 1),
        "NaN": good.replace("{", '{"guidance_scale": NaN, ', 1),
        "10000 digits": good.replace('"seed": 5', f'"seed": {"9" * 10_000}'),
        "1e9999": good.replace("{", '{"guidance_scale": 1e9999, ', 1),
        "half of a surrogate pair": good.replace("a rocket", "\\ud83d"),
    }
    if name == "100 MB of base64":
        yield good[:-2].encode()
        for _ in range(HUGE_BYTES // 2**20):
            yield b"A" * 2**20
        yield b'"}'
    else:
        yield bodies[name].encode()


HARMFUL = [
    *("100 MB of base64", "arrays 100000 deep", "a field of arrays 100000 deep"),
    *("objects 100000 deep", "700000 fields", "a name twice", "NaN", "10000 digits"),
    *("1e9999", "half of a surrogate pair"),
]


@pytest.fixture(scope="module", params=["livepeer", "http"])
def careful_server(server: Server, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A gateway of its own, whose memory nobody else takes."""
    with gateway_before(server, ERROR_PROFILE=request.param) as gateway:
        post_json(gateway, image=BASE64, **FIELDS)
        yield gateway


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_bodies_are_refused_in_words(careful_server: Server, name: str) -> None:
    """Memory stays, and the next request is served."""
    with bounded(GROWTH, careful_server.process.pid):
        answer = HTTP.post(f"{careful_server.url}/upscale", content=harmful(name), headers=JSON)
    assert answer.status_code in (400, 413, 422), answer.text
    detail = answer.json()["detail"]
    assert detail[0]["msg"] if answer.status_code == 422 else detail["msg"]
    assert post_json(careful_server, image=BASE64, **FIELDS).status_code == 200
