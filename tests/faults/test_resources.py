"""The server runs out of something: the request fails alone, and the next one works."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from embedded.triton import free_port
from tests.faults.confined import Confined, ConfinedGateway, fill
from tests.faults.parts import IMAGE, WHOLE_S, part_of
from tests.photographs import file_of, photograph
from tests.server import Gateway, Server, wait_until

BIG = file_of(photograph("coffee", 256, 256))
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
FAILED = "The upscaling backend failed; try again."
NOT_STORED = "The result could not be stored; try again."
FIELDS = {"num_inference_steps": 2, "seed": 1}


def refusal(server: Server, image: bytes = IMAGE) -> str:
    """What a request is told that the server cannot serve now."""
    response = server.post(image, **FIELDS)
    assert response.status_code == 500, response.text
    return str(response.json()["detail"]["msg"])


def is_healthy(server: Server) -> bool:
    return server.get("/health").status_code == 200


def test_too_little_shared_memory_stops_the_start_and_is_named(
    repositories: Callable[[str], Path],
) -> None:
    server = Confined(repositories("narrow"), SHARED_MEMORY, "4m")
    with pytest.raises(AssertionError, match="did not start"):
        server.start()
    assert server.stop() == 1
    said = "".join(server.output)
    assert "Each Python backend model instance requires at least 1 MB of shared memory" in said


def test_full_shared_memory_fails_what_does_not_fit_alone(
    repositories: Callable[[str], Path],
) -> None:
    with Confined(repositories("narrow"), SHARED_MEMORY, "32m") as server:
        small = server.upscale(IMAGE, **FIELDS)
        filling = fill(server.disk)
        assert refusal(server, BIG) == FAILED
        # Triton gives the big one's memory back when it has told the error, and a trial for /health
        # takes some for a moment.
        wait_until(lambda: server.post(IMAGE, **FIELDS).status_code == 200, 20)
        assert server.upscale(IMAGE, **FIELDS) == small
        filling.unlink()
        assert server.upscale(IMAGE, **FIELDS) == small
        assert is_healthy(server)


def test_a_full_disk_keeps_what_is_there_and_takes_the_next_when_there_is_room(
    server: Server, tmp_path: Path
) -> None:
    confined = ConfinedGateway(
        server.triton_url, tmp_path, "1m", MEDIA="local", MEDIA_DIR=str(tmp_path)
    )
    with confined as gateway:
        wait_until(lambda: is_healthy(gateway), 60)
        link = gateway.post(IMAGE, **FIELDS).json()["images"][0]["url"]
        picture = httpx.get(link, trust_env=False).content
        filling = fill(gateway.disk)
        assert refusal(gateway) == NOT_STORED
        names = [path.name for path in gateway.disk.iterdir()]
        assert sorted(names) == sorted([filling.name, Path(urlsplit(link).path).name])
        assert httpx.get(link, trust_env=False).content == picture
        assert is_healthy(gateway)
        filling.unlink()
        assert gateway.post(IMAGE, **FIELDS).status_code == 200


def bucket_at(port: int) -> dict[str, str]:
    """The environment of a gateway whose results go there."""
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    return {"MEDIA": "s3://pictures", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}


def test_a_store_that_is_down_fails_the_request_and_one_that_is_back_serves_the_next(
    server: Server,
) -> None:
    from moto.server import ThreadedMotoServer

    bucket_port = free_port()
    with Gateway(server.triton_url, **bucket_at(bucket_port)) as gateway:
        wait_until(lambda: is_healthy(gateway), 60)
        assert refusal(gateway) == NOT_STORED
        assert is_healthy(gateway)
        store = ThreadedMotoServer("127.0.0.1", bucket_port, verbose=False)
        store.start()
        try:
            httpx.put(f"http://127.0.0.1:{bucket_port}/pictures", trust_env=False)
            link = gateway.post(IMAGE, **FIELDS).json()["images"][0]["url"]
            assert httpx.get(link, trust_env=False).status_code == 200
        finally:
            store.stop()


def test_a_store_that_is_slow_holds_nobody_past_the_deadline(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = bucket_at(silent.getsockname()[1])
        timeout = {"REQUEST_TIMEOUT_S": "4", "MAX_IN_PROGRESS": "1"}
        with Gateway(server.triton_url, **environment, **timeout) as gateway:
            wait_until(lambda: is_healthy(gateway), 60)
            with ThreadPoolExecutor(4) as pool:
                told = list(pool.map(lambda _: refusal(gateway), range(4)))
            assert all(message.startswith("The request took longer than 4 s") for message in told)
            assert is_healthy(gateway)
            assert gateway.gateway_metric("upscale_in_progress") == 0


@contextmanager
def limit(process: psutil.Process, kind: int, soft: int) -> Iterator[None]:
    """Bound what a running process may have, and take the bound away again."""
    before = process.rlimit(kind)
    process.rlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        if process.is_running():
            process.rlimit(kind, before)


@pytest.mark.parametrize("part", ["decode", "denoise"])
def test_a_big_image_without_memory_fails_or_is_made_anew_alone(
    breakable_server: Server, part: str
) -> None:
    """A stage tells it or ends; then all that was lost with it is made anew."""
    limited = breakable_server
    expected = limited.upscale(IMAGE, **FIELDS)
    process = part_of(limited, part)
    with limit(process, psutil.RLIMIT_AS, process.memory_info().vms + 5_000_000):
        answers = [limited.post(image, **FIELDS) for image in (BIG, IMAGE)]
    for response in answers:  # what the big one took need not be back when the small one comes
        if response.status_code != 200:
            assert response.status_code == 500
            assert response.json() == {"detail": {"msg": FAILED}}
    wait_until(lambda: is_healthy(limited), WHOLE_S)
    assert limited.upscale(IMAGE, **FIELDS) == expected


def test_without_descriptors_connections_wait_and_none_is_lost(breakable_server: Server) -> None:
    limited = breakable_server
    gateway = psutil.Process(limited.process.pid)
    address = urlsplit(limited.url)
    expected = limited.upscale(IMAGE, **FIELDS)
    with (
        limit(gateway, psutil.RLIMIT_NOFILE, gateway.num_fds() + 8),
        ThreadPoolExecutor(4) as pool,
        ExitStack() as idle,
    ):
        for _ in range(20):  # more than it may have
            idle.enter_context(
                socket.create_connection((address.hostname or "", address.port or 0))
            )
        waiting = [pool.submit(limited.upscale, IMAGE, **FIELDS) for _ in range(4)]
        time.sleep(1)
        assert not any(request.done() for request in waiting)
        idle.close()
        assert {request.result() for request in waiting} == {expected}
    assert is_healthy(limited)
