"""A client that goes away takes its work along."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.photographs import file_of, photograph
from tests.server import Server, wait_until


def send_and_keep_open(server: Server, image: bytes, steps: int) -> socket.socket:
    """A request whose connection the test can cut."""
    boundary = b"----upscale-test"
    fields = {"prompt": b"x", "num_inference_steps": str(steps).encode()}
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary, name.encode(), value)
        for name, value in fields.items()
    ]
    parts.append(
        b'--%s\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n%s\r\n'
        % (boundary, image)
    )
    body = b"".join(parts) + b"--%s--\r\n" % boundary
    head = (
        b"POST /upscale HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=%s\r\n\r\n" % (len(body), boundary)
    )
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname or "", address.port or 0))
    connection.sendall(head + body)
    return connection


def test_denoise_drops_the_job_within_two_steps(server: Server) -> None:
    image = file_of(photograph("coffee", 256, 256))  # large, so that a step takes its time
    small = file_of(photograph("coffee", 32, 32))
    expected = server.upscale(small, seed=3, num_inference_steps=20)
    cancelled = server.metric("upscale_denoise_jobs_total", outcome="cancelled")
    calls = server.counts("unet")[1]
    connection = send_and_keep_open(server, image, steps=1000)
    wait_until(lambda: server.counts("unet")[1] > calls + 3, 60)

    calls = server.counts("unet")[1]
    connection.close()
    wait_until(
        lambda: server.metric("upscale_denoise_jobs_total", outcome="cancelled") == cancelled + 1,
        20,
    )
    assert server.counts("unet")[1] - calls <= 2
    assert server.metric("upscale_denoise_jobs", state="active") == 0
    assert server.upscale(small, seed=3, num_inference_steps=20) == expected


def test_others_are_not_disturbed(server: Server) -> None:
    image = file_of(photograph("astronaut", 64, 64))
    expected = server.upscale(image, seed=5, num_inference_steps=100)
    calls = server.counts("unet")[1]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(server.upscale, image, seed=5, num_inference_steps=100)
        connection = send_and_keep_open(server, image, steps=1000)
        wait_until(lambda: server.counts("unet")[1] > calls + 5, 20)
        connection.close()
        assert other.result() == expected
    wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 0, 20)
