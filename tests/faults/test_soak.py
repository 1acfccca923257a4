"""Half an hour of all kinds of requests at once: nothing grows, and the same picture comes out."""

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.faults.parts import IMAGE, left_behind, parts_of
from tests.photographs import file_of, photograph
from tests.server import Server, wait_until

SECONDS = float(os.environ.get("SOAK_S", "1800"))
WARM_UP_S = 300.0  # until then pools and caches fill
SAMPLES = 40  # in the time
CLIENTS = 6
MEBIBYTE = 2**20
LARGE = [file_of(photograph("cat", side, side)) for side in (64, 130)]
FIELDS = {"num_inference_steps": 20, "seed": 1}


@dataclass(frozen=True)
class Use:
    """What the processes of the server hold. memory: bytes, what several share counted once."""

    memory: int
    descriptors: int
    threads: int
    regions: int
    shared: int

    @classmethod
    def of(cls, server: Server) -> "Use":
        processes = [psutil.Process(server.process.pid), *parts_of(server)]
        regions = list(Path("/dev/shm").glob(f"upscale-{server.process.pid}-*"))  # noqa: S108
        return cls(
            memory=sum(process.memory_full_info().pss for process in processes),
            descriptors=sum(process.num_fds() for process in processes),
            threads=sum(process.num_threads() for process in processes),
            regions=len(left_behind(server)),
            shared=sum(region.stat().st_size for region in regions),
        )


def good(server: Server, chance: random.Random) -> None:
    seed, steps = chance.randrange(2**31), chance.randrange(1, 40)
    assert server.post(IMAGE, seed=seed, num_inference_steps=steps).status_code == 200


def big(server: Server, chance: random.Random) -> None:
    image = chance.choice(LARGE)
    assert server.post(image, num_inference_steps=2).status_code == 200


def bad(server: Server, chance: random.Random) -> None:
    image = chance.choice([b"", b"no image", IMAGE[: len(IMAGE) // 2]])
    assert server.post(image).status_code in {400, 422}
    assert server.post(IMAGE, num_inference_steps=5000).status_code == 400


def cancelled(server: Server, chance: random.Random) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/upscale",
            files={"image": LARGE[0]},
            data={"prompt": "x", "num_inference_steps": "1000"},
            timeout=httpx.Timeout(60, read=chance.uniform(0.05, 1)),
            trust_env=False,
        )


KINDS: list[Callable[[Server, random.Random], None]] = [good, good, good, bad, cancelled, big]


def client(server: Server, number: int, until: float) -> int:
    """Requests of all kinds, one after the other; returns how many."""
    chance, count = random.Random(number), 0  # noqa: S311
    while time.monotonic() < until:
        chance.choice(KINDS)(server, chance)
        count += 1
    return count


def samples(server: Server, until: float) -> Iterator[tuple[float, Use]]:
    for _ in range(SAMPLES):
        time.sleep(SECONDS / SAMPLES)
        yield round(time.monotonic() - until + SECONDS), Use.of(server)


def jobs(server: Server) -> dict[str, float]:
    """Triton's count of jobs by what became of them."""
    outcomes = ("completed", "failed", "cancelled", "expired", "refused")
    return {o: server.metric("upscale_denoise_jobs_total", outcome=o) for o in outcomes}


@pytest.mark.long
def test_nothing_grows(repositories: Callable[[str], Path]) -> None:
    with Server(repositories("narrow"), MAX_IN_PROGRESS="4") as server:
        expected = server.upscale(LARGE[1], **FIELDS)
        began = time.monotonic()
        until = began + SECONDS
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(client, server, number, until) for number in range(CLIENTS)]
            seen = list(samples(server, until))
            counts = [work.result() for work in clients]
        print(f"{sum(counts)} requests; {jobs(server)}", *seen, sep="\n")  # noqa: T201
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 0, 30)
        assert server.upscale(LARGE[1], **FIELDS) == expected
        assert server.metric("upscale_denoise_jobs", state="waiting") == 0
        assert server.gateway_metric("upscale_in_progress") == 0
        ended = jobs(server)
        assert ended["failed"] == ended["expired"] == ended["refused"] == 0
    settled = [use for at, use in seen if at > WARM_UP_S]
    middle = len(settled) // 2
    allowances = {
        "memory": 48 * MEBIBYTE,
        "descriptors": 16,
        "threads": 8,
        "regions": 0.5,
        "shared": 8 * MEBIBYTE,  # pools are as large as the most that was ever in them
    }
    for name, allowed in allowances.items():
        first, last = (
            sum(getattr(use, name) for use in half) / len(half)
            for half in (settled[:middle], settled[middle:])
        )
        assert last - first < allowed, f"{name} grew from {first:.0f} to {last:.0f}"
