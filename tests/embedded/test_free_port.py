"""The ports that Triton is given."""

import socket

import pytest

from embedded.triton import free_port


def test_a_free_port_stays_free_for_triton_alone() -> None:
    address = ("127.0.0.1", free_port())
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address)
    with socket.socket() as client:
        assert client.connect_ex(address) != 0, "nobody listens there yet"
    with socket.create_server(address) as server:  # it sets SO_REUSEADDR, as Triton does
        assert server.getsockname() == address
