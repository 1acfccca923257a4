"""Requests share UNet calls and join and leave between steps."""

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
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.upscale, image, num_inference_steps=200)
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        assert server.upscale(image, num_inference_steps=5)
        assert not long.done()
        assert long.result()
