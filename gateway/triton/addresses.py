"""The addresses that a name stands for now, as `host:port`."""

import asyncio
import socket

from gateway.triton.pool import Resolve


def addresses_of(name: str) -> Resolve:
    """name: `host:port`. A headless Service of Kubernetes stands for every pod that is ready.

    What is returned raises OSError when the name cannot be looked up.
    """
    host, _, port = name.rpartition(":")

    async def resolve() -> set[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM
            )
        except UnicodeError as error:  # a label of the name is empty or too long
            raise OSError(f"{host} is no name of a host") from error
        return {
            f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
            for family, *_, address in found
        }

    return resolve
