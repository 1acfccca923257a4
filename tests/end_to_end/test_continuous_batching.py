"""Requests share UNet calls and join and leave between steps."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.end_to_end.test_disconnect import send_and_keep_open
from tests.photographs import file_of, photograph
from tests.server import Server, wait_until


def test_eight_requests_share_unet_calls(server: Server) -> None:
    """Counted while all eight are there, so however far apart they came."""
    image = file_of(photograph("cat", 64, 64))
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(send_and_keep_open(server, image, steps=1000))
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 8, 60)
        rows, calls = server.counts("unet")
        wait_until(lambda: server.counts("unet")[1] > calls + 30, 60)
        after_rows, after_calls = server.counts("unet")
    wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 0, 60)
    assert (after_rows - rows) / (after_calls - calls) > 12  # of 16; one request alone makes it 2


def test_a_late_short_request_overtakes_a_long_one(server: Server) -> None:
    image = file_of(photograph("cat", 64, 64))
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.upscale, image, num_inference_steps=200)
        wait_until(lambda: server.metric("upscale_denoise_jobs", state="active") == 1, 20)
        assert server.upscale(image, num_inference_steps=5)
        assert not long.done()
        assert long.result()
