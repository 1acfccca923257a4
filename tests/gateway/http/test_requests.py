"""HTTP's habits: HEAD, absolute targets, encodings, web pages of other origins, the log."""

import json
from typing import Any

import httpx
import pytest

from gateway.triton.readiness import Readiness
from tests.gateway.test_app import FakeTriton, post, run

PATHS = [
    "/",
    "/page/page.js",
    "/health",
    "/health/",
    "/livez",
    "/readyz",
    "/version",
    "/metrics",
    "/model",
    "/hardware/info",
    "/hardware/stats/",
    "/openapi.json",
]
ORIGIN = "http://gateway"  # of the tests' own requests


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_as_get_is(path: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        got, headed = await client.get(path), await client.head(path)
        assert got.status_code == headed.status_code == 200
        assert headed.headers["content-type"] == got.headers["content-type"]
        other = await client.delete(path)
        assert other.status_code == 405
        assert set(other.headers["allow"].split(", ")) >= {"GET", "HEAD"}

    run(use)


def test_head_is_not_in_the_document() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert not any("head" in operations for operations in paths.values())

    run(use)


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP, identity"])
@pytest.mark.parametrize(("profile", "status"), [("livepeer", 400), ("http", 415)])
def test_a_body_that_is_compressed_is_refused_by_name(
    encoding: str, profile: str, status: int
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        answer = await client.post("/upscale", content=b"x", headers={"Content-Encoding": encoding})
        assert answer.status_code == status
        assert f"Content-Encoding '{encoding}'" in answer.json()["detail"]["msg"]
        client.headers["Content-Encoding"] = "identity"
        assert (await post(client)).status_code == 200

    run(use, error_profile=profile)


FOREIGN = {
    "another host": {"Origin": "http://evil.test"},
    "another port": {"Origin": f"{ORIGIN}:8000"},
    "a file": {"Origin": "null"},
    "as the browser says": {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    "a sister": {"Origin": "https://other.gateway", "Sec-Fetch-Site": "same-site"},
}
OWN = {
    "no page": {},
    "our page": {"Origin": ORIGIN},
    # A proxy that changed the host: the browser knows better.
    "our page behind a proxy": {"Origin": "https://public", "Sec-Fetch-Site": "same-origin"},
    "a person": {"Origin": "null", "Sec-Fetch-Site": "none"},
}


@pytest.mark.parametrize(("profile", "status"), [("livepeer", 400), ("http", 403)])
@pytest.mark.parametrize("name", FOREIGN)
def test_pages_of_other_origins_make_nothing_work(name: str, profile: str, status: int) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        made = len(triton.inputs)
        client.headers.update(FOREIGN[name])
        answer = await post(client)
        assert answer.status_code == status
        assert "CORS_ORIGINS" in answer.json()["detail"]["msg"]
        assert "access-control-allow-origin" not in answer.headers
        assert len(triton.inputs) == made

    run(use, error_profile=profile)


@pytest.mark.parametrize("name", OWN)
def test_others_do(name: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        client.headers.update(OWN[name])
        assert (await post(client)).status_code == 200

    run(use)


def test_who_has_the_token_may_come_from_anywhere() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        client.headers.update({"Origin": "http://app.test", "Authorization": "Bearer sesame"})
        assert (await post(client)).status_code == 200

    run(use, auth_token="sesame")


@pytest.mark.parametrize(
    ("allowed", "answered"),
    [("*", "*"), ("https://a.test,https://app.test", "https://app.test")],
)
def test_origins_that_are_allowed(allowed: str, answered: str) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        page = {"Origin": "https://app.test", "Sec-Fetch-Site": "cross-site"}
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        preflight = await client.options("/upscale", headers={**page, **asked})
        assert preflight.status_code == 200
        client.headers.update(page)
        answer = await post(client, "image/png")
        refused = await post(client, num_inference_steps="1001")
        assert (answer.status_code, refused.status_code) == (200, 400)
        for response in (preflight, answer, refused):
            assert response.headers["access-control-allow-origin"] == answered
        assert "Upscale-Seed" in answer.headers["access-control-expose-headers"]

    run(use, cors_origins=allowed)


def test_other_origins_stay_out() -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        client.headers["Origin"] = "https://evil.test"
        answer = await post(client)
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers

    run(use, cors_origins="https://app.test")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the requests of a test write into the log."""
    written: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:
            written.append({"event": event, **fields})

    monkeypatch.setattr("gateway.http.request_log.logger", Log())
    return written


def test_the_line_of_a_refused_request_says_why(lines: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        await post(client, num_inference_steps="1001", prompt="secret")
        await post(client, num_inference_steps="5", response="xml")
        await post(client, num_inference_steps="7", output_format="webp")
        await client.post("/upscale", headers={"Content-Encoding": "\x1b[31m" * 100})

    run(use)
    assert lines[0]["reason"] == "num_inference_steps is 1001; at most 1000 are allowed."
    assert lines[0]["steps"] == 1001
    assert lines[1]["reason"] == "response: Input should be 'json' or 'image'"
    assert (lines[2]["width"], lines[2]["height"], lines[2]["steps"]) == (8, 8, 7)
    assert "reason" not in lines[2]
    assert lines[3]["reason"].isprintable()
    assert "secret" not in json.dumps(lines)


def test_the_session_of_a_runner_is_logged_and_its_token_is_not(
    lines: list[dict[str, Any]],
) -> None:
    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        client.headers.update(
            {
                "Livepeer-Runner-Route": "upscaler/1",
                "Livepeer-Session-Id": "abc",
                "Livepeer-Session-Token": "hush",
                "Livepeer-Session-Control": "https://orchestrator/?t=hush",
            }
        )
        await post(client)
        client.headers["Livepeer-Session-Id"] = "\x1b[31m"
        await post(client)

    run(use)
    first, second = lines
    assert first["livepeer_runner_route"] == "upscaler/1"
    assert first["livepeer_session_id"] == "abc"
    assert "livepeer_session_id" not in second
    assert "hush" not in json.dumps(lines)
