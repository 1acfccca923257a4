"""`upscale` where names are looked up in a file, as a name server would answer.

HOSTS_FILE has an address and a name a line; it is read anew at every look-up. A name that ends in
.test and is not in it has no address.
"""

import os
import socket
from pathlib import Path
from typing import Any

from cli.__main__ import app

getaddrinfo = socket.getaddrinfo


def look_up(host: Any, *arguments: Any, **options: Any) -> list[Any]:
    """As `socket.getaddrinfo`, for the file's names first."""
    lines = [line.split() for line in Path(os.environ["HOSTS_FILE"]).read_text().splitlines()]
    addresses = [address for address, name in lines if name == host] or [host]
    if addresses == [host] and str(host).endswith(".test"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [found for address in addresses for found in getaddrinfo(address, *arguments, **options)]


socket.getaddrinfo = look_up
app()
