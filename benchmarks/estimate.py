"""`python -m benchmarks.estimate`: the seconds of `POST /estimate` against what a picture took.

Closed loops over a mix of sizes and steps; each client asks for the estimate of its next picture
and sends that at once.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from benchmarks.load import Planned, make_plan
from benchmarks.photograph import photograph, png
from benchmarks.section import table
from benchmarks.server import UpscaleServer
from embedded.default_repository import default_repository

SIDES, STEPS, SEED = [64, 96, 128, 256], [5, 10, 20], 0
WARM_UP = 4
TIMEOUT_S = 600.0


async def ratios(
    url: str, plan: Sequence[Planned], images: Mapping[int, bytes], concurrency: int
) -> list[float]:
    """What each picture took, in times of its estimate; none before there is one.

    Nor of the first one that each client sends: they are asked for before any of them is there, and
    no estimate knows what comes after it.
    """
    pending, found = iter(enumerate(plan)), list[float]()
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:

        async def send(number: int, request: Planned) -> None:
            steps = request.num_inference_steps
            size = {"width": request.side, "height": request.side}
            answer = await client.post("/estimate", json={**size, "num_inference_steps": steps})
            estimated: float | None = answer.raise_for_status().json()["seconds"]
            data = {"prompt": "a photo", "num_inference_steps": str(steps), "seed": "0"}
            began = time.monotonic()
            picture = await client.post(
                "/upscale", data=data, files={"image": images[request.side]}
            )
            picture.raise_for_status()
            if estimated is not None and number >= concurrency:
                found.append((time.monotonic() - began) / estimated)

        async def work() -> None:
            for number, request in pending:
                await send(number, request)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    return found


def main() -> None:
    """Print a table; its ratios are of what a picture took to what was estimated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, help="default: the demo model's")
    parser.add_argument("--requests", type=int, default=24, help="of a load")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    images = {side: png(photograph(None, side, side)) for side in SIDES}
    rows = []
    with UpscaleServer(arguments.repository or asyncio.run(default_repository(print))) as server:
        warm_up = make_plan(WARM_UP, SIDES, STEPS, SEED + 1)
        asyncio.run(ratios(server.url, warm_up, images, 1))
        for concurrency in arguments.concurrency:
            plan = make_plan(arguments.requests, SIDES, STEPS, SEED)
            found = sorted(asyncio.run(ratios(server.url, plan, images, concurrency)))
            tenth, *_, last_tenth = statistics.quantiles(found, n=10)
            rows.append(
                [
                    f"{concurrency} in flight",
                    str(len(found)),
                    f"{statistics.median(found):.2f}",
                    f"{tenth:.2f} to {last_tenth:.2f}",
                ]
            )
    print(table(["load", "requests", "median ratio", "eight of ten"], rows))  # noqa: T201


if __name__ == "__main__":
    main()
