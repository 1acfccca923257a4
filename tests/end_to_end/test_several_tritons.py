"""One gateway before Tritons that come and go under load: no request that it took is lost."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from embedded.triton import Triton
from tests.deploy.dockerfile import DOCKER
from tests.photographs import file_of, photograph
from tests.server import Gateway, killed, wait_until

NAME = "tritons.test"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
IMAGE = file_of(photograph("coffee", 16, 16))
STEPS = 20
FIELDS = {"num_inference_steps": STEPS, "seed": 3, "guidance_scale": 1}


@pytest.fixture(scope="module")
def tritons(
    repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Triton]]:
    folder = tmp_path_factory.mktemp("tritons")
    first = Triton(repositories("narrow"), folder / "first.log", address=ADDRESSES[0])
    second = Triton(
        repositories("narrow"), folder / "second.log", first.grpc_port, address=ADDRESSES[1]
    )
    with killed(first), killed(second):
        yield [first, second]


class NamedGateway(Gateway):
    """`upscale gateway`, whose name server is a file."""

    def __init__(self, port: int, hosts: Path) -> None:
        super().__init__(f"{NAME}:{port}", HOSTS_FILE=str(hosts))

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tests.end_to_end.named_hosts", "gateway"]


def kill(triton: Triton) -> None:
    """As the kernel does when memory is short."""
    for child in psutil.Process().children():
        if f"--grpc-address={triton.address}" in child.cmdline():
            child.kill()


def served(gateway: Gateway, triton: Triton) -> float:
    """Images that this Triton has decoded, as the gateway's metrics have it."""
    return gateway.gateway_metric(
        "upscale_model_rows_total", model="vae_decoder", triton=triton.url
    )


def test_load_moves_with_the_tritons(tritons: list[Triton], tmp_path: Path) -> None:
    first, second = tritons
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{ADDRESSES[0]} {NAME}\n")
    with NamedGateway(first.grpc_port, hosts) as gateway, ThreadPoolExecutor(8) as pool:
        wait_until(lambda: gateway.get("/readyz").status_code == 200, 60)
        expected = gateway.upscale(IMAGE, **FIELDS)

        def requests(count: int) -> list[bytes]:
            return list(pool.map(lambda _: gateway.upscale(IMAGE, **FIELDS), range(count)))

        hosts.write_text("".join(f"{address} {NAME}\n" for address in ADDRESSES))
        wait_until(lambda: served(gateway, second) > 0, 60)  # its trial
        before = [served(gateway, triton) for triton in tritons]
        assert set(requests(8)) == {expected}
        after = [served(gateway, triton) for triton in tritons]
        assert min(b - a for a, b in zip(before, after, strict=True)) > 2, "both took part"

        under_load = [pool.submit(gateway.upscale, IMAGE, **FIELDS) for _ in range(24)]
        wait_until(lambda: served(gateway, first) > after[0], 60)
        kill(first)
        assert {request.result() for request in under_load} == {expected}, "no request is lost"
        assert gateway.get("/readyz").status_code == 200
        before_second = served(gateway, second)
        assert set(requests(4)) == {expected}
        assert served(gateway, second) - before_second == 4

        first.kill()
        first.start()
        wait_until(lambda: served(gateway, first) > 0, 60)
        before_first = served(gateway, first)
        assert set(requests(8)) == {expected}
        assert served(gateway, first) > before_first, "the load is back"


def test_a_triton_that_is_stopped_under_load_loses_no_request(
    tritons: list[Triton], tmp_path: Path
) -> None:
    """It refuses its own stages the engines from the signal on, in the midst of a request too."""
    first = tritons[0]
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{address} {NAME}\n" for address in ADDRESSES))
    with NamedGateway(first.grpc_port, hosts) as gateway, ThreadPoolExecutor(8) as pool:
        wait_until(lambda: min(served(gateway, triton) for triton in tritons) > 0, 60)
        expected = gateway.upscale(IMAGE, **FIELDS)
        before = served(gateway, first)
        under_load = [pool.submit(gateway.upscale, IMAGE, **FIELDS) for _ in range(24)]
        wait_until(lambda: served(gateway, first) > before, 60)
        first.stop()
        try:
            assert {request.result() for request in under_load} == {expected}
        finally:
            first.start()


def test_the_only_triton_is_replaced_under_load(tritons: list[Triton], tmp_path: Path) -> None:
    """As a rollout does it: out of the name, drained by the pod's own script, SIGTERM, the next."""
    first = tritons[0]
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{ADDRESSES[0]} {NAME}\n")
    is_over = threading.Event()
    with NamedGateway(first.grpc_port, hosts) as gateway, ThreadPoolExecutor(8) as pool:
        wait_until(lambda: gateway.get("/readyz").status_code == 200, 60)

        def ask() -> list[bytes]:
            pictures = [gateway.upscale(IMAGE, **FIELDS)]
            while not is_over.is_set():
                pictures.append(gateway.upscale(IMAGE, **FIELDS))
            return pictures

        expected = gateway.upscale(IMAGE, **FIELDS)
        before = served(gateway, first)
        under_load = [pool.submit(ask) for _ in range(8)]
        try:
            wait_until(lambda: served(gateway, first) > before, 60)
            hosts.write_text("")
            variables = {"METRICS_URL": first.metrics_url, "QUIET_S": "2"}
            drain = [DOCKER / "triton" / "drain.sh"]
            subprocess.run(drain, env={**os.environ, **variables}, check=True, timeout=60)
            assert gateway.gateway_metric("upscale_in_progress") == 8, "all wait, and it was quiet"
            first.stop()
            first.start()
            hosts.write_text(f"{ADDRESSES[0]} {NAME}\n")
            wait_until(lambda: gateway.get("/readyz").status_code == 200, 60)
        finally:
            is_over.set()
        pictures = [picture for request in under_load for picture in request.result()]
        assert len(pictures) > len(under_load)
        assert set(pictures) == {expected}


def test_nobody_hangs_when_a_stage_of_the_only_triton_dies(tritons: list[Triton]) -> None:
    """Triton never answers what was with the stage; it is sent again once Triton serves again."""
    first = tritons[0]
    fields = {**FIELDS, "num_inference_steps": 200}
    with (
        Gateway(first.url, HEALTH_INTERVAL_S="1") as gateway,
        ThreadPoolExecutor(8) as pool,
    ):
        wait_until(lambda: gateway.get("/readyz").status_code == 200, 60)
        expected = gateway.upscale(IMAGE, **fields)
        in_flight = [pool.submit(gateway.upscale, IMAGE, **fields) for _ in range(8)]
        wait_until(lambda: gateway.gateway_metric("upscale_in_progress") == 8, 20)
        [stub] = [stub for stub in first.stubs() if "/denoise/" in " ".join(stub.cmdline())]
        stub.kill()
        wait_until(lambda: gateway.get("/readyz").status_code == 503, 60)
        first.kill()
        first.start()
        assert {request.result() for request in in_flight} == {expected}
