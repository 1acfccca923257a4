"""What a server says of itself, asked over a transport that is a class."""

import json

import httpx
import pytest

from client.description import ServerDescription
from client.errors import ServerUnusable
from tests.gateway.test_livepeer import FULL_SIZE


def server(longest_side: int, reason: str = "too large") -> ServerDescription:
    """One that takes squares up to a side."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/estimate"
        side = json.loads(request.content)["width"]
        is_taken = side <= longest_side
        body = {
            "accepted": is_taken,
            "reason": None if is_taken else reason,
            **dict.fromkeys(("unet_rows", "tiles", "tile_pixels", "memory_bytes"), 1),
            "seconds": None,
            **dict.fromkeys(("output_width", "output_height"), 4 * side),
        }
        return httpx.Response(200, json=body)

    return ServerDescription("http://server/", httpx.Client(transport=httpx.MockTransport(answer)))


@pytest.mark.parametrize("longest_side", [2000, 1024, 1023, 700, 8, 1, 0])
def test_the_largest_square_is_found(longest_side: int) -> None:
    assert server(longest_side).max_pixels(FULL_SIZE) == min(longest_side, 1024) ** 2


def test_a_busy_server_is_no_measure() -> None:
    with pytest.raises(ServerUnusable, match="busy"):
        server(0, "insufficient capacity: later").max_pixels(FULL_SIZE)


@pytest.mark.parametrize(
    "answer", [httpx.Response(404), httpx.Response(200, text="x"), httpx.Response(200, json={})]
)
def test_what_is_no_server_of_ours_is_said_to_be(answer: httpx.Response) -> None:
    transport = httpx.MockTransport(lambda _: answer)
    with pytest.raises(ServerUnusable, match="http://server"):
        ServerDescription("http://server", httpx.Client(transport=transport)).model()
