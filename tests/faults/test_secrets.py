"""What must not be told: tokens, keys, prompts, versions, paths; and who must not be reached."""

import hmac
import logging
import re
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import structlog
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from gateway.telemetry.log import configure_log
from gateway.triton.readiness import Readiness
from tests.faults.raw_http import answer, connection
from tests.gateway.test_app import FakeTriton, post, run
from tests.photographs import file_of, photograph
from tests.server import Gateway, Server, gateway_before, wait_until

SMALL = file_of(photograph("cat", 16, 16))
TOKEN, KEY, PROMPT, NEGATIVE = "tok-é-5e5a3e", "key-77aa11", "prompt-c0ffee", "negative-facade"
RIGHT = {"Authorization": b"Bearer " + TOKEN.encode()}
# Names of what serves, folders of a machine, versions.
INSIDE = re.compile(
    r"(?i)uvicorn|starlette|fastapi|pydantic|python|pillow|PIL\b|h11|triton|grpc|traceback"
    r"|/(home|usr|tmp|opt|root|var|work)/|site-packages|\.py\b|\b\d+\.\d+\.\d+"
)


@pytest.fixture(scope="module")
def guarded(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "AUTH_TOKEN": TOKEN,
        "MEDIA": "local",
        "MEDIA_DIR": str(tmp_path_factory.mktemp("media")),
        "MEDIA_KEY": KEY,
    }
    with gateway_before(server, **settings) as gateway:
        yield gateway


def ask(gateway: Gateway, image: bytes = SMALL, **fields: str) -> httpx.Response:
    data = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": "1", **fields}
    return httpx.post(
        f"{gateway.url}/upscale",
        data=data,
        files={"image": image},
        headers=RIGHT,  # type: ignore[arg-type]
        timeout=60,
        trust_env=False,
    )


def every_answer(gateway: Gateway) -> Iterator[httpx.Response]:
    """Of every status that a client can bring about."""
    yield ask(gateway)
    yield ask(gateway, b"no image")
    yield ask(gateway, model_id="other")
    yield ask(gateway, seed="x")
    yield ask(gateway, prompt="x" * 10_001)
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
        yield client.post("/upscale", headers={"Authorization": "Bearer wrong"})
        yield client.post("/upscale", headers=RIGHT, content=bytes(11_000_000))  # type: ignore[arg-type]
        for path in ("/", "/page/page.js", "/page/../page.py", "/page/nothing", "/nothing"):
            yield client.get(path)
        for path in ("/health", "/livez", "/readyz", "/model", "/hardware/info", "/docs"):
            yield client.get(path)
        for name in ("x" * 32 + ".png", "../../etc/passwd", "%2e%2e%2fsettings.py", "%00"):
            yield client.get(f"/media/{name}?signature=x")
        for method in ("GET", "PUT", "TRACE", "OPTIONS", "CONNECTED"):
            yield client.request(method, "/upscale")


def test_no_answer_tells_what_serves_it(guarded: Gateway) -> None:
    """But for /version and /openapi.json, which go-livepeer and its clients ask for."""
    statuses = set()
    for response in every_answer(guarded):
        statuses.add(response.status_code)
        head = {k: v for k, v in response.headers.items() if k != "content-security-policy"}
        assert "server" not in head
        assert "x-powered-by" not in head
        found = INSIDE.search(str(head))
        assert found is None, f"{response.request.url}: {found} in {head}"
        if "json" in head["content-type"] and "images" not in response.json():
            found = INSIDE.search(response.text)
            assert found is None, f"{response.request.url}: {found}"
    assert statuses == {200, 400, 401, 404, 405, 422}
    with connection(guarded) as client:
        client.sendall(b"no HTTP at all\r\n\r\n")
        status, body = answer(client)
    assert (status, body) == (400, b"Invalid HTTP request received.")


def triton_log(server: Server) -> str:
    """What the Triton of a server has logged."""
    [triton] = [
        child
        for child in psutil.Process(server.process.pid).children()
        if child.name() == "tritonserver"
    ]
    return Path(f"/proc/{triton.pid}/fd/1").read_text(errors="replace")


def test_no_log_has_a_token_a_key_or_a_prompt(guarded: Gateway, server: Server) -> None:
    responses = list(every_answer(guarded))
    link = responses[0].json()["images"][0]["url"]
    assert httpx.get(link, trust_env=False).status_code == 200
    logged = str(guarded.log()) + "".join(guarded.output) + triton_log(server)
    signature = link.split("signature=")[1]
    for secret in (TOKEN, TOKEN.encode().decode("latin-1"), KEY, PROMPT, NEGATIVE, signature):
        assert secret not in logged


def test_a_path_cannot_write_a_line_of_the_log(guarded: Gateway) -> None:
    path = "/%1B%5B31m%0Aforged"
    assert guarded.get(path).status_code == 404
    wait_until(lambda: any(line.get("path") == path for line in guarded.log()), 5)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bug_does_not_tell_what_it_worked_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    """A traceback is logged, without the variables of its frames."""
    root, level = logging.getLogger(), logging.getLogger("gateway").level
    handlers, root_level = root.handlers, root.level
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    configure_log()

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        triton.error = ZeroDivisionError()
        assert (await post(client, prompt=PROMPT)).status_code == 500

    try:
        run(use)
    finally:
        root.handlers, root.level = handlers, root_level
        logging.getLogger("gateway").setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults()
    logged = capsys.readouterr().out
    assert "ZeroDivisionError" in logged
    assert PROMPT not in logged


def test_the_token_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(secrets, "compare_digest", compare)

    async def use(client: httpx.AsyncClient, triton: FakeTriton, readiness: Readiness) -> None:
        await readiness.reach()
        client.headers["Authorization"] = "Bearer wrong"
        assert (await post(client)).status_code == 401

    run(use, auth_token=TOKEN)
    assert compared == [(b"wrong", TOKEN.encode())]


def test_a_token_of_any_letters_works(guarded: Gateway) -> None:
    assert ask(guarded).status_code == 200


def test_a_forged_link_is_answered_alike_whatever_is_there(guarded: Gateway) -> None:
    link = ask(guarded).json()["images"][0]["url"]
    there, signature = link.split("?signature=")
    nothing = there.rsplit("/", 1)[0] + "/" + "x" * 32 + ".png"
    forged = signature[:-1] + ("A" if signature[-1] != "A" else "B")
    answers = [
        httpx.get(f"{url}?signature={wrong}", trust_env=False)
        for url in (there, nothing)
        for wrong in (forged, signature[::-1], "")
    ]
    assert {(response.status_code, response.content) for response in answers} == {
        (404, answers[0].content)
    }
    # Whoever has the link has the picture, as often as he likes until it expires.
    assert {httpx.get(link, trust_env=False).status_code for _ in range(3)} == {200}


def listening(process: psutil.Process) -> Iterator[str]:
    """Addresses that it and its children listen on."""
    for each in [process, *process.children(recursive=True)]:
        for one in each.net_connections("inet"):
            is_bound = one.type == socket.SOCK_DGRAM and not one.raddr
            if one.status == psutil.CONN_LISTEN or is_bound:
                yield one.laddr.ip.removeprefix("::ffff:")  # IPv4 on a socket for both


def test_everything_listens_on_loopback_only(server: Server) -> None:
    addresses = list(listening(psutil.Process(server.process.pid)))
    assert len(addresses) >= 3  # the gateway's, Triton's gRPC and its metrics
    assert set(addresses) == {"127.0.0.1"}


Call = Callable[[InferenceServerClient, dict[str, str]], Any]
ADMINISTRATIVE: dict[str, Call] = {
    "index": lambda c, h: c.get_model_repository_index(headers=h),
    "load": lambda c, h: c.load_model("unet", headers=h),
    "unload": lambda c, h: c.unload_model("unet", headers=h),
    "shared memory": lambda c, h: c.get_system_shared_memory_status(headers=h),
    "map memory": lambda c, h: c.register_system_shared_memory("x", "/x", 8, headers=h),
    "unmap memory": lambda c, h: c.unregister_system_shared_memory(headers=h),
    "GPU memory": lambda c, h: c.get_cuda_shared_memory_status(headers=h),
    "map GPU memory": lambda c, h: c.register_cuda_shared_memory("x", b"", 0, 8, headers=h),
    "trace": lambda c, h: c.get_trace_settings(headers=h),
    "trace on": lambda c, h: c.update_trace_settings(None, {"trace_level": ["TENSORS"]}, headers=h),
    "log": lambda c, h: c.get_log_settings(headers=h),
    "log on": lambda c, h: c.update_log_settings({"log_verbose_level": 9}, headers=h),
}


@pytest.mark.parametrize("name", ADMINISTRATIVE)
def test_tritons_administration_is_closed(server: Server, name: str) -> None:
    header = "triton-grpc-protocol-admin-key"
    with InferenceServerClient(server.triton_url) as client:
        for headers in ({}, {header: ""}, {header: "x" * 32}, {"admin-key": "x"}):
            with pytest.raises(InferenceServerException, match=r"(?i)restricted"):
                ADMINISTRATIVE[name](client, headers)
        assert client.is_model_ready("unet")
