"""A process of the server is killed, frozen or asked to end, idle and in the middle of requests."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.parts import (
    IMAGE,
    STEPS,
    WHOLE_S,
    Health,
    Load,
    is_free,
    left_behind,
    part_of,
    parts_of,
)
from tests.server import Server, wait_until

PARTS = ("tritonserver", "encode", "denoise", "decode")
ENGINES = ("text_encoder", "unet", "vae_decoder", "safety_checker")  # only in the long run
TWICE = ("encode", "decode")  # the other process of such a stage may serve all the same
UNUSED = "unet"  # the model, as denoise runs its engine: that it is gone is seen, that it hangs not
FROZEN_S = 20.0


class Whole:
    """A server with all of its parts: how many they are, and what is right of it."""

    def __init__(self, server: Server, started_s: float) -> None:
        self.server = server
        # A start anew is a start: where that is slow, so may this be.
        self.within_s = max(WHOLE_S, 3 * started_s)
        self.seen: set[psutil.Process] = set()
        with Load(server) as load:
            self.pictures = load.pictures()
        self._names, self._left = self._parts(), len(left_behind(server))

    def _parts(self) -> list[str]:
        parts = [part for part in parts_of(self.server) if part.status() != psutil.STATUS_ZOMBIE]
        self.seen.update(parts)
        return sorted(part.name() for part in parts)

    def check(self, began: float) -> None:
        """It is whole again, within 30 s of the fault."""
        wait_until(
            lambda: self.server.get("/health").status_code == 200,
            began + self.within_s - time.monotonic(),
        )
        assert self.server.upscale(IMAGE, num_inference_steps=STEPS, seed=0) == self.pictures[0]
        assert self._parts() == self._names
        assert len(left_behind(self.server)) == self._left


@pytest.fixture(scope="module")
def started(repositories: Callable[[str], Path]) -> Iterator[Whole]:
    repository = repositories("narrow")
    began = time.monotonic()
    with Server(repository, HEALTH_INTERVAL_S="3") as server:
        whole = Whole(server, time.monotonic() - began)
        yield whole
        assert server.stop() == 0
    wait_until(lambda: not any(process.is_running() for process in whole.seen), 10)
    assert left_behind(server) == []
    assert all(is_free(url) for url in (server.url, server.triton_url, server.metrics_url))


@pytest.fixture
def whole(started: Whole) -> Whole:
    started.check(time.monotonic())  # whatever another test has left
    return started


@pytest.mark.parametrize(
    "part", [*PARTS, *(pytest.param(engine, marks=pytest.mark.long) for engine in ENGINES)]
)
def test_a_part_is_killed_under_eight_requests(whole: Whole, part: str) -> None:
    counted = whole.server.gateway_metric("upscale_requests_total")
    with Load(whole.server) as load:
        with Health(whole.server) as health:
            began = time.monotonic()
            part_of(whole.server, part).kill()
            assert load.pictures() == whole.pictures, "each is made anew"
            whole.check(began)
        assert health.statuses == [200, 503, 200]
    requests = len(whole.pictures) + 1
    assert whole.server.gateway_metric("upscale_requests_total") == counted + requests


@pytest.mark.long
@pytest.mark.parametrize("part", [*PARTS, *ENGINES])
def test_a_part_is_killed_while_idle(whole: Whole, part: str) -> None:
    with Health(whole.server) as health:
        began = time.monotonic()
        part_of(whole.server, part).kill()
        wait_until(lambda: 503 in health.statuses, 10)
        whole.check(began)
    assert health.statuses == [200, 503, 200]


def freeze(process: psutil.Process) -> None:
    """Stop it for 20 s, or until it is killed by who noticed."""
    process.suspend()
    try:
        process.wait(FROZEN_S)
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@pytest.mark.long
@pytest.mark.parametrize("part", [*PARTS, *ENGINES])
def test_a_part_hangs_under_eight_requests(whole: Whole, part: str) -> None:
    with Load(whole.server) as load, Health(whole.server) as health:
        began = time.monotonic()
        freeze(part_of(whole.server, part))
        assert load.pictures() == whole.pictures
        whole.check(began + FROZEN_S)
    if part not in TWICE:
        assert health.statuses == ([200] if part == UNUSED else [200, 503, 200])


@pytest.mark.long
@pytest.mark.parametrize("part", [*PARTS, *ENGINES])
def test_a_part_hangs_while_idle(whole: Whole, part: str) -> None:
    with Health(whole.server) as health:
        began = time.monotonic()
        freeze(part_of(whole.server, part))
        whole.check(began)
    if part not in TWICE:
        assert health.statuses == ([200] if part == UNUSED else [200, 503, 200])


def test_triton_is_asked_to_end_under_eight_requests(whole: Whole) -> None:
    with Load(whole.server) as load:
        began = time.monotonic()
        part_of(whole.server, "tritonserver").send_signal(signal.SIGTERM)
        assert load.pictures() == whole.pictures
        whole.check(began)


@pytest.mark.long
def test_what_outlasts_the_servers_end_is_told_so(repositories: Callable[[str], Path]) -> None:
    with Server(repositories("narrow"), MAX_IN_PROGRESS="4") as server:
        with Load(server, steps=1000, at_work=4) as load:
            server.process.terminate()
            answers = load.answers()
        assert server.stop() == 0
    for answer in answers:
        if answer.status_code != 200:  # on a fast machine some are done in time
            assert answer.status_code == 500
            message = answer.json()["detail"]["msg"]
            assert message.startswith("insufficient capacity: this server is being stopped;")
    assert left_behind(server) == []


def test_the_server_is_asked_to_end_under_eight_requests(
    repositories: Callable[[str], Path],
) -> None:
    with Server(repositories("narrow"), MAX_IN_PROGRESS="4") as server:
        with Load(server, at_work=4) as load:
            parts = parts_of(server)
            server.process.terminate()
            assert len(set(load.pictures())) == len(load.pictures()), "also of those that waited"
        assert server.stop() == 0
    wait_until(lambda: not any(part.is_running() for part in parts), 10)
    assert left_behind(server) == []
