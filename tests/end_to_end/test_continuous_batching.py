"""Requests share UNet calls and join and leave between steps."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.photographs import file_of, photograph
from tests.server import Server, wait_until


def test_eight_requests_share_unet_calls(server: Server) -> None:
    image = file_of(photograph("cat", 64, 64))
    fields = {"num_inference_steps": 60, "guidance_scale": 1}
    rows, calls = server.counts("unet")
    with ThreadPoolExecutor(8) as pool:
        requests = [pool.submit(server.upscale, image, **fields) for _ in range(8)]
        assert all(request.result() for request in requests)
    after_rows, after_calls = server.counts("unet")
    assert after_rows - rows == 8 * 60
    assert (after_rows - rows) / (after_calls - calls) > 4  # one request alone makes it 1


def test_a_late_short_request_overtakes_a_long_one(server: Server) -> None:
    image = file_of(photograph("cat", 64, 64))
    ended: dict[int, float] = {}

    def run(steps: int) -> None:
        server.upscale(image, num_inference_steps=steps)
        ended[steps] = time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(run, 200)
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        short = pool.submit(run, 5)
        short.result()
        assert not long.done()
        long.result()
    assert ended[5] < ended[200]
