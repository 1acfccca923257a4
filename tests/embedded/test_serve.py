"""`upscale serve` as an operator starts, breaks and stops it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from embedded.leftovers import remove_leftovers
from export.manifest import record
from tests.faults.parts import left_behind, part_of, parts_of
from tests.photographs import file_of, photograph
from tests.server import HTTP, ROOT, Server, wait_until

CORES = os.cpu_count() or 1
LISTENS = re.compile(r"The gateway is at (\S+);")
IMAGE = file_of(photograph("rocket", 16, 16))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing(repositories: Callable[[str], Path], number: int) -> None:
    server = Server(repositories("narrow")).start()
    processes = parts_of(server)
    assert any("tritonserver" in " ".join(process.cmdline()) for process in processes)
    assert left_behind(server), "the prefix by which the test looks is the real one"
    assert server.upscale(IMAGE, num_inference_steps=1)
    assert server.stop(number) == 0
    # What Triton started is init's once Triton has ended, and init takes its time to collect it.
    wait_until(lambda: not any(process.is_running() for process in processes), 10)
    assert left_behind(server) == []


def test_two_instances_do_not_meet(server: Server, repositories: Callable[[str], Path]) -> None:
    fields = {"num_inference_steps": 2, "seed": 1}
    with Server(repositories("narrow")) as other:
        assert other.url != server.url
        assert other.upscale(IMAGE, **fields) == server.upscale(IMAGE, **fields)
    assert server.upscale(IMAGE, **fields)


def test_triton_ends_with_a_killed_server(repositories: Callable[[str], Path]) -> None:
    server = Server(repositories("narrow")).start()
    processes = parts_of(server)
    server.stop(signal.SIGKILL)
    wait_until(lambda: not any(process.is_running() for process in processes), 60)
    remove_leftovers()  # as the next start does
    assert left_behind(server) == []


@pytest.mark.parametrize("part", ["tritonserver", "denoise", "decode"])
def test_a_dead_part_is_started_again(breakable_server: Server, part: str) -> None:
    server = breakable_server
    expected = server.upscale(IMAGE, num_inference_steps=2, seed=1)
    said = len(server.output)
    part_of(server, part).kill()
    wait_until(lambda: server.get("/readyz").status_code == 503, 10)
    assert server.get("/health").json() == {"status": "ERROR"}
    assert server.get("/livez").status_code == 200
    wait_until(lambda: server.get("/health").status_code == 200, 60)
    assert server.upscale(IMAGE, num_inference_steps=2, seed=1) == expected
    assert "Triton has failed; starting it again." in "".join(server.output[said:])


def test_a_request_survives_the_end_of_triton(breakable_server: Server) -> None:
    server = breakable_server
    with ThreadPoolExecutor(1) as pool:
        expected = server.upscale(IMAGE, num_inference_steps=200, seed=1)
        request = pool.submit(server.upscale, IMAGE, num_inference_steps=200, seed=1)
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        psutil.Process(server.process.pid).children()[0].kill()
        assert request.result() == expected


def accepts(server: Server) -> bool:
    try:
        server.get("/livez")
    except httpx.TransportError:  # refused, or closed as it came
        return False
    return True


def test_what_is_in_flight_is_finished_before_the_end(
    repositories: Callable[[str], Path],
) -> None:
    with Server(repositories("narrow")) as server, ThreadPoolExecutor(1) as pool:
        request = pool.submit(server.upscale, IMAGE, num_inference_steps=1000)
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server), 10)
        assert not request.done()
        assert server.stop() == 0
        assert request.result()


def fails(folder: Path, *arguments: str, **environment: str) -> str:
    """What `upscale`, started in this folder, says when it refuses."""
    result = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": "0", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_taken_port_is_named(repositories: Callable[[str], Path], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = fails(tmp_path, "serve", "--repository", str(repositories("narrow")), PORT=port)
    assert f"PORT={port} on HOST=127.0.0.1 cannot be used: Address already in use" in said


def test_a_folder_that_is_no_repository_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    said = fails(tmp_path, "serve", "--repository", str(tmp_path))
    assert f"{tmp_path} is no model repository" in said
    assert (tmp_path / "precious").exists()


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    assert "PORT='eighty'" in fails(tmp_path, "serve", PORT="eighty")


def test_a_model_that_does_not_load_is_told(
    repositories: Callable[[str], Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(repositories("narrow"), broken)
    (broken / "unet" / "1" / "model.onnx").write_bytes(b"no graph")
    record(broken)
    said = fails(tmp_path, "serve", "--repository", str(broken))
    assert "Triton ended with status 1" in said
    assert "unet" in said


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("denoise/1/model.py", "is not the file that was exported"),
        ("unet/1/model.onnx", "is missing"),  # which Triton says in other words
    ],
)
def test_a_changed_repository_is_refused_and_the_file_named(
    repositories: Callable[[str], Path], tmp_path: Path, name: str, what: str
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(repositories("narrow"), changed)
    source = changed / name
    if "missing" in what:
        source.unlink()
    else:
        source.write_text(source.read_text() + "\n")
    said = fails(tmp_path, "serve", "--repository", str(changed))
    assert f"{source} {what}" in said
    assert "Triton ended" not in said


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_a_model_that_takes_long_to_load_is_waited_for_and_told(
    repositories: Callable[[str], Path], tmp_path: Path, seconds: int
) -> None:
    """While all cores are busy; from the first moment /health says what goes on."""
    slow = tmp_path / "slow"
    shutil.copytree(repositories("narrow"), slow)
    model = slow / "denoise" / "1" / "model.py"
    begin = '        config = json.loads(args["model_config"])\n'
    assert model.read_text().count(begin) == 1
    sleep = f"        __import__('time').sleep({seconds})\n"
    model.write_text(model.read_text().replace(begin, sleep + begin))
    record(slow)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    server, said = Server(slow), set[tuple[Any, ...]]()
    try:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(server.start)
            wait_until(lambda: LISTENS.search("".join(server.output)) or starting.done(), 60)
            url = LISTENS.search("".join(server.output))
            assert url is not None
            while not starting.done():
                health = HTTP.get(f"{url[1]}/health")
                said.add((health.status_code, *health.json().values()))
                time.sleep(0.05)
            starting.result()
        assert (503, "LOADING", "Triton loads the engines") in said
        assert {status for status, *_ in said} <= {200, 503}
        assert server.upscale(IMAGE, num_inference_steps=1)
        assert "once more" not in "".join(server.output)
    finally:
        for process in busy:
            process.kill()
            process.wait()
        server.kill()
