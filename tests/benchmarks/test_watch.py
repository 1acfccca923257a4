"""The watch over /health."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from benchmarks.watch import HealthWatch


class OneAtATime(BaseHTTPRequestHandler):
    """Answers at once, or after half a second that everybody else waits for too."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.5)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), OneAtATime) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_was_due_while_the_server_was_held_up_has_waited(url: str) -> None:
    """Asked every 50 ms; of half a second, ten calls wait and not only the one that was sent."""
    with HealthWatch(url) as watch:
        httpx.get(f"{url}/slow", trust_env=False)
        time.sleep(0.1)
    assert sum(latency_s > 0.05 for latency_s in watch.latencies_s) >= 7
    assert max(watch.latencies_s) > 0.3
