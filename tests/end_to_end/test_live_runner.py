"""Livepeer's published SDK livepeer-gateway calls the server as a Live Runner, through a proxy."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.live_runner import NO_PYTHON, TOKEN, Sdk, orchestrator, python312
from tests.end_to_end.test_disconnect import send_and_keep_open
from tests.photographs import file_of, photograph
from tests.server import ROOT, Gateway, Server, gateway_before, wait_until

SMALL = file_of(photograph("cat", 24, 16))
LARGE = file_of(photograph("coffee", 256, 256))  # 1000 steps of it outlast a test
FIELDS = {"prompt": "a cat", "seed": 7, "num_inference_steps": 2}
PAYLOAD = {**FIELDS, "image": base64.b64encode(SMALL).decode()}


@pytest.fixture(scope="module")
def runner(server: Server) -> Iterator[Gateway]:
    """One request at a time, and one that waits."""
    with gateway_before(server, MAX_IN_PROGRESS="1", MAX_WAITING="1") as gateway:
        yield gateway


@pytest.fixture(scope="module", params=["on", "off"])
def proxy(
    runner: Gateway, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Through nginx that buffers, and that does not."""
    folder = tmp_path_factory.mktemp("nginx")
    with orchestrator(runner, entry_of(runner), folder, request.param) as url:
        yield url


def entry_of(runner: Gateway) -> dict[str, Any]:
    """What `upscale livepeer runner` prints."""
    command = [sys.executable, "-m", "cli", "livepeer", "runner", "--price", "0.002"]
    result = subprocess.run(
        [*command, "--url", runner.url], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    [entry] = json.loads(result.stdout)["runners"]
    return dict(entry)


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdk]:
    started = Sdk()
    yield started
    started.stop()


@pytest.fixture
def url(sdk: Sdk, proxy: str) -> str:
    """Of the runner that discovery shows."""
    [entry] = sdk.call("discover", url=proxy, app="upscale/narrow")["found"]
    [found] = entry["runners"]
    return str(found["url"])


def test_what_discovery_shows_can_be_called(server: Server, sdk: Sdk, url: str) -> None:
    """Within the SDK's own 5 s."""
    answer = sdk.call("plain", url=url, payload=PAYLOAD)
    assert answer["data"] == server.post(SMALL, **FIELDS).json()


def test_the_file_itself(server: Server, sdk: Sdk, url: str) -> None:
    answer = sdk.call("plain", url=url, payload={**PAYLOAD, "response": "image"})
    assert (answer["data"], answer["content_type"]) == ({}, "image/png")
    assert base64.b64decode(answer["content"]) == server.upscale(SMALL, **FIELDS)


def test_a_stream(server: Server, sdk: Sdk, url: str) -> None:
    payload = {**PAYLOAD, "stream": True}
    answer = sdk.call("stream", url=url, payload=payload, lines=None)
    assert answer["content_type"] == "text/event-stream"
    kinds = [line[7:] for line in answer["lines"] if line.startswith("event: ")]
    assert (kinds[0], kinds[-1]) == ("accepted", "result")
    data = [line[6:] for line in answer["lines"] if line.startswith("data: ")]
    result = json.loads(data[-1])
    assert result.pop("distance") >= 0
    assert result == server.post(SMALL, **FIELDS).json()


def test_a_stream_of_a_picture_that_fits_into_no_line(server: Server, sdk: Sdk, url: str) -> None:
    photo = file_of(photograph("coffee", 96, 96))
    image = base64.b64encode(photo).decode()
    payload = {**PAYLOAD, "image": image, "stream": True, "response": "image"}
    lines = sdk.call("stream", url=url, payload=payload, lines=None)["lines"]
    expected = server.upscale(photo, **FIELDS)
    assert len(expected) > 2**17
    assert file_in(lines) == expected


def test_the_first_events_come_while_others_are_worked_on(
    runner: Gateway, sdk: Sdk, url: str
) -> None:
    """Its turn does not come before it has gone."""
    with closing(send_and_keep_open(runner, LARGE, steps=1000)):
        wait_until(lambda: runner.gateway_metric("upscale_in_progress") == 1, 20)
        answer = sdk.call("stream", url=url, payload={**PAYLOAD, "stream": True}, lines=5)
        assert answer["lines"][0] == "event: accepted"
        assert "event: queued" in answer["lines"]
        wait_until(lambda: runner.gateway_metric("upscale_waiting") == 0, 20)
        assert runner.gateway_metric("upscale_in_progress") == 1
    wait_until(lambda: runner.gateway_metric("upscale_in_progress") == 0, 20)


def test_a_refused_image(sdk: Sdk, url: str) -> None:
    image = base64.b64encode(b"text").decode()
    payload = {**PAYLOAD, "image": image}
    plain = sdk.call("plain", url=url, payload=payload)
    stream = sdk.call("stream", url=url, payload={**payload, "stream": True}, lines=None)
    for answer in (plain, stream):
        assert answer["status"] == 400
        assert "send a JPEG, PNG" in json.loads(answer["body"])["detail"]["msg"]


def test_a_busy_server(runner: Gateway, sdk: Sdk, url: str) -> None:
    with (
        closing(send_and_keep_open(runner, LARGE, steps=1000)),
        closing(send_and_keep_open(runner, LARGE, steps=1000)),
    ):
        wait_until(lambda: runner.gateway_metric("upscale_waiting") == 1, 20)
        answer = sdk.call("plain", url=url, payload=PAYLOAD)
        assert answer["status"] == 500
        assert "insufficient capacity" in json.loads(answer["body"])["detail"]["msg"]
    wait_until(lambda: runner.gateway_metric("upscale_in_progress") == 0, 20)
    assert sdk.call("plain", url=url, payload=PAYLOAD)["data"]["images"]


def test_the_log_names_the_session_and_never_its_token(runner: Gateway, sdk: Sdk, url: str) -> None:
    sdk.call("plain", url=url, payload=PAYLOAD)
    lines = [line for line in runner.log() if line.get("livepeer_session_id") == "session_abc"]
    assert lines
    assert lines[-1]["livepeer_runner_route"] == "upscale"
    assert TOKEN not in json.dumps(runner.log()) + "".join(runner.output)


@pytest.mark.long
def test_a_picture_that_takes_longer_than_the_sdk_waits(
    server: Server, runner: Gateway, sdk: Sdk, url: str
) -> None:
    """A plain answer is given up after 5 s, a stream is not: some 20 s on two processors."""
    fields = {**FIELDS, "num_inference_steps": 200}
    image = base64.b64encode(LARGE).decode()
    payload = {**fields, "image": image, "stream": True, "response": "image"}
    lines = sdk.call("stream", url=url, payload=payload, lines=None)["lines"]
    assert file_in(lines) == server.upscale(LARGE, **fields)


def file_in(lines: list[str]) -> bytes:
    """Of the event `image`, whose base64 comes in lines: the SDK takes none over 128 KiB."""
    first = lines.index("event: image") + 1
    last = lines.index("", first)
    return b"".join(base64.b64decode(line.removeprefix("data: ")) for line in lines[first:last])


def test_without_python_312_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYTHON312", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(AssertionError) as refused:
        python312()
    assert str(refused.value) == NO_PYTHON
