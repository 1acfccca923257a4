"""Two gateways behind a proxy, one of which ends under load: no request is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.nginx import nginx
from tests.photographs import file_of, photograph
from tests.server import HTTP, Server, gateway_before, png_of, wait_until

IMAGE = file_of(photograph("coffee", 16, 16))
FIELDS = {"prompt": "a photo", "num_inference_steps": "20", "seed": "3"}
LOCATION = """
    location / {
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
"""


def upstream(*gateways: Server) -> str:
    """Connections are kept, as every proxy of production does."""
    servers = "".join(f"server {gateway.url.removeprefix('http://')};" for gateway in gateways)
    return f"upstream gateways {{ {servers} keepalive 8; }}"


def in_progress(gateway: Server) -> float:
    return gateway.gateway_metric("upscale_in_progress")


def test_one_of_two_ends_under_load(server: Server, tmp_path: Path) -> None:
    """As Kubernetes ends a pod: first it is taken out of its Service, then it gets SIGTERM."""
    is_over = threading.Event()
    with (
        gateway_before(server) as first,
        gateway_before(server) as second,
        nginx(tmp_path, LOCATION, upstream(first, second)) as proxy,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask() -> list[httpx.Response]:
            answers: list[httpx.Response] = []
            while not answers or not is_over.is_set():
                files = {"image": IMAGE}
                answers.append(HTTP.post(f"{proxy.url}/upscale", files=files, data=FIELDS))
            return answers

        under_load = [pool.submit(ask) for _ in range(8)]
        try:
            wait_until(lambda: min(map(in_progress, (first, second))) > 1, 60)
            proxy.change(LOCATION, upstream(second))
            assert first.stop() == 0
            counted = second.gateway_metric("upscale_requests_total")
            wait_until(lambda: second.gateway_metric("upscale_requests_total") > counted, 60)
        finally:
            is_over.set()
        answers = [answer for request in under_load for answer in request.result()]
        assert {answer.status_code for answer in answers} == {200}
        assert {png_of(answer) for answer in answers} == {server.upscale(IMAGE, **FIELDS)}
        assert len(answers) > len(under_load)
