import base64

import pytest

from gateway.images.data_url import PIECE_BYTES, DataUrl


@pytest.mark.parametrize("length", [0, 1, 2, 3, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1])
def test_the_pieces_are_the_url(length: int) -> None:
    content = bytes(n % 251 for n in range(length))
    url = DataUrl(content, "webp")
    expected = "data:image/webp;base64," + base64.b64encode(content).decode()
    assert str(url) == expected
    assert len(url) == len(expected)


def test_no_piece_keeps_others_waiting_for_long() -> None:
    pieces = list(DataUrl(bytes(36_000_000), "png").pieces())
    assert max(map(len, pieces)) <= 2**18
