"""What the served document says beyond the contract; tests/end_to_end has the contract itself."""

from pathlib import Path
from typing import Any, cast

import httpx

from gateway.app import create_app
from gateway.settings import Settings
from gateway.triton.client import TritonClient
from gateway.triton.pool import TritonPool
from gateway.triton.readiness import Readiness
from tests.gateway.test_app import FakeTriton, run


def document(**settings: Any) -> dict[str, Any]:
    pool = TritonPool(lambda _: cast(TritonClient, None), 3.0)
    return create_app(Settings(**settings), pool).openapi()


def test_statuses_are_those_of_the_profile() -> None:
    for profile, expected in {
        "livepeer": {200, 400, 401, 422, 500},
        "http": {200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 504},
    }.items():
        responses = document(error_profile=profile)["paths"]["/upscale"]["post"]["responses"]
        assert {int(status) for status in responses} == expected


def test_fields_of_a_form_are_never_null_and_bounds_are_exact() -> None:
    fields = document()["components"]["schemas"]["Body_genUpscale"]["properties"]
    assert not any("anyOf" in field for field in fields.values())
    assert (fields["seed"]["minimum"], fields["seed"]["maximum"]) == (-(2**63), 2**63 - 1)
    assert fields["prompt"]["minLength"] == 1


def test_json_has_the_fields_of_the_form() -> None:
    schemas = document()["components"]["schemas"]
    form, json = schemas["Body_genUpscale"], schemas["UpscaleJson"]
    assert set(form["properties"]) == set(json["properties"])
    assert set(form["required"]) == set(json["required"]) == {"prompt", "image"}
    for name, field in form["properties"].items():
        if name == "image":
            continue
        nullable = json["properties"][name].pop("anyOf", [{}])[0]
        in_json = {**json["properties"][name], **nullable}
        assert {**in_json, **field} == in_json, name
    content = document()["paths"]["/upscale"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}


def test_results_have_their_types(tmp_path: Path) -> None:
    paths = document(media="local", media_dir=tmp_path)["paths"]
    assert set(paths["/upscale"]["post"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
        "image/png",
        "image/jpeg",
        "image/webp",
    }
    assert set(paths["/media/{name}"]["get"]["responses"]["200"]["content"]) == {
        "image/png",
        "image/jpeg",
        "image/webp",
    }
    assert "/media/{name}" not in document()["paths"]


def test_the_examples_make_pictures() -> None:
    content = document()["paths"]["/upscale"]["post"]["requestBody"]["content"]
    examples = [example["value"] for example in content["application/json"]["examples"].values()]

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        for example in examples:
            answer = await client.post("/upscale", json=example)
            assert answer.status_code == 200, answer.text

    run(use, safety_check="skip")
    assert len(examples) == 2
