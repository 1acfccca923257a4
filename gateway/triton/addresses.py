"""The addresses that a name stands for now, as `host:port`."""

import asyncio
import logging
import socket

from gateway.triton.pool import Resolve

# The name server's own word that there is none; that it cannot be asked has other codes.
NO_ADDRESS = (socket.EAI_NONAME, socket.EAI_NODATA)
logger = logging.getLogger("gateway")


def addresses_of(name: str) -> Resolve:
    """name: `host:port`. A headless Service of Kubernetes stands for every pod that is ready.

    Where none is, as while the only pod is replaced, it has no address. What is returned raises
    OSError when the name cannot be looked up.
    """
    host, _, port = name.rpartition(":")
    has_address = True

    async def resolve() -> set[str]:
        nonlocal has_address
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM
            )
        except UnicodeError as error:  # a label of the name is empty or too long
            raise OSError(f"{host} is no name of a host") from error
        except socket.gaierror as error:
            if error.errno not in NO_ADDRESS:
                raise
            if has_address:
                logger.warning("%s has no address: no Triton is ready there", host)
            has_address = False
            return set()
        has_address = True
        return {
            f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
            for family, *_, address in found
        }

    return resolve
