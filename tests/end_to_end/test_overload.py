"""200 clients at once against a server whose eight places are taken."""

import select
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.end_to_end.test_disconnect import send_and_keep_open
from tests.faults.memory import MIB, resident
from tests.photographs import file_of, photograph
from tests.server import Server, gateway_before, wait_until

SMALL = file_of(photograph("cat", 16, 16))
LARGE = file_of(photograph("coffee", 256, 256))  # 1000 steps of it outlast the test
CLIENTS, PLACES, ROUNDS = 200, 8, 3


def places(server: Server) -> tuple[float, float]:
    taken, waiting = map(server.gateway_metric, ("upscale_in_progress", "upscale_waiting"))
    return taken, waiting


def test_busy_is_said_at_once_and_who_is_accepted_is_served(server: Server) -> None:
    """At once: before any of those who have a place has an answer."""
    memory = []
    with (
        gateway_before(server, MAX_IN_PROGRESS="4", MAX_WAITING="4") as gateway,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        with ExitStack() as stack:
            accepted = [
                stack.enter_context(send_and_keep_open(gateway, LARGE, steps=1000))
                for _ in range(PLACES)
            ]
            wait_until(lambda: places(gateway) == (4, 4), 20)
            for _ in range(ROUNDS):
                for answer in pool.map(lambda _: gateway.post(SMALL), range(CLIENTS)):
                    assert answer.status_code == 500
                    assert "insufficient capacity" in answer.json()["detail"]["msg"]
                    assert int(answer.headers["retry-after"]) > 0
                assert gateway.get("/health").json() == {"status": "OK"}
                memory.append(resident(gateway.process.pid))
            assert select.select(accepted, [], [], 0)[0] == []
            assert places(gateway) == (4, 4)
        assert memory[-1] - memory[1] < 8 * MIB, memory
        refused = gateway.gateway_metric("upscale_requests_total", status="500")
        assert refused == ROUNDS * CLIENTS
        wait_until(lambda: places(gateway) == (0, 0), 20)
        pictures = pool.map(lambda _: gateway.upscale(SMALL, seed=1), range(PLACES))
        assert len(set(pictures)) == 1
