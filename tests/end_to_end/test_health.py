"""/health answers while pictures are made."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.photographs import file_of, photograph
from tests.server import Server


def test_health_is_not_held_up_by_requests(server: Server) -> None:
    """Decoding, encoding and inference leave the event loop free.

    A count, not a time: many answers come while the requests are under way. A loop that did the
    work itself would give one or two.
    """
    image = file_of(photograph("coffee", 160, 160))
    with ThreadPoolExecutor(3) as pool:
        requests = [pool.submit(server.upscale, image, num_inference_steps=1) for _ in range(3)]
        answers = 0
        while not all(request.done() for request in requests):
            assert server.get("/health").json() == {"status": "OK"}
            answers += 1
            time.sleep(0.01)
        assert all(request.result() for request in requests)
    assert answers > 30
