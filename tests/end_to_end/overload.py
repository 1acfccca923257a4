"""What many clients at once see of a server that is full.

`MAX_IN_PROGRESS=4 MAX_WAITING=4 upscale serve` in one terminal; in another
`python -m benchmarks.overload --pid N` with its process id. In every round each client connects and
then sends one request, at a random time within --spread seconds; the next round begins when all
have their answers. Meanwhile /health is asked on a connection of its own.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import typer
from rich.console import Console

from tests.photographs import file_of, photograph

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH_INTERVAL_S = 0.01
KINDS = ("served", "refused", "health")


@dataclass
class Round:
    """Seconds from the first byte sent to the last one received, by what was answered."""

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)  # busy, with Retry-After
    health: list[float] = field(default_factory=list)  # 200
    others: list[bytes] = field(default_factory=list)  # any other answer
    memory: int = 0  # of the gateway at the end, resident bytes

    def text(self) -> str:
        """A line for a person; milliseconds."""
        cells = []
        for kind in KINDS:
            ms = np.array(getattr(self, kind)) * 1e3
            cells.append(f"{len(ms)} {kind} {np.median(ms):.1f}, {np.percentile(ms, 99):.1f}")
            cells[-1] += f", {ms.max():.1f}"
        return f"{'; '.join(cells)}; {len(self.others)} others; {self.memory / 2**20:.1f} MiB"


class Connection:
    """One open connection of HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> tuple[float, bytes, bytes]:
        """Seconds, head and body of the answer."""
        began = time.perf_counter()
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return time.perf_counter() - began, head, body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def small_request(url: str, steps: int) -> bytes:
    """All bytes of one request to /upscale."""
    request = httpx.Request(
        "POST",
        f"{url}/upscale",
        files={"image": file_of(photograph("cat", 16, 16))},
        data={"prompt": "a photo", "num_inference_steps": str(steps), "safety_check": "false"},
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /upscale HTTP/1.1\r\n{head}\r\n".encode() + request.read()


async def overload(
    url: str, pid: int, clients: int, rounds: int, spread_s: float, steps: int
) -> list[Round]:
    """Every round against the gateway of this process id."""
    address = urlsplit(url)
    request = small_request(url, steps)

    async def connect() -> Connection:
        return Connection(*await asyncio.open_connection(address.hostname, address.port))

    async def client(connection: Connection, seen: Round) -> None:
        await asyncio.sleep(random.uniform(0, spread_s))  # noqa: S311
        seconds, head, body = await connection.ask(request)
        if head.startswith(b"http/1.1 200"):
            seen.served.append(seconds)
        elif b"insufficient capacity" in body and b"retry-after: " in head:
            seen.refused.append(seconds)
        else:
            seen.others.append(head + body)
        await connection.close()

    async def watch_health(seen: Round) -> None:
        connection = await connect()
        try:
            while True:
                seconds, head, body = await connection.ask(HEALTH)
                if head.startswith(b"http/1.1 200"):
                    seen.health.append(seconds)
                else:
                    seen.others.append(head + body)
                await asyncio.sleep(HEALTH_INTERVAL_S)
        finally:
            await connection.close()

    async def one_round() -> Round:
        seen = Round()
        connections = [await connect() for _ in range(clients)]
        health = asyncio.create_task(watch_health(seen))
        await asyncio.gather(*(client(connection, seen) for connection in connections))
        health.cancel()
        await asyncio.gather(health, return_exceptions=True)
        seen.memory = psutil.Process(pid).memory_info().rss
        return seen

    return [await one_round() for _ in range(rounds)]


def main(
    pid: Annotated[int, typer.Option(help="Process id of the gateway.")],
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    clients: Annotated[int, typer.Option(help="At once.")] = 200,
    rounds: Annotated[int, typer.Option(help="How often.")] = 10,
    spread: Annotated[float, typer.Option(help="Time in which they send, seconds.")] = 1.0,
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 75,
) -> None:
    """Print a line a round."""
    console = Console(soft_wrap=True, highlight=False)
    console.print("answers: how many, ms: median, 99th percentile, longest")
    for seen in asyncio.run(overload(url, pid, clients, rounds, spread, steps)):
        console.print(seen.text())


if __name__ == "__main__":
    typer.run(main)
