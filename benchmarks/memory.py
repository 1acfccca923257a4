"""What images of each size take: seconds, memory of gateway and Triton, UNet calls.

`upscale serve` in one terminal; in another `python -m benchmarks.memory`, with the process id, the
address and the metrics' address that it printed.
"""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import httpx
import psutil
import typer
from rich.console import Console
from rich.table import Table

from tests.photographs import file_of, photograph

INTERVAL_S = 0.2
MEBIBYTE = 2**20
console = Console()


class Memory:
    """Samples the memory of a server while a block runs.

    Bytes of resident memory: what several processes share counts once (Linux' PSS).
    """

    def __init__(self, pid: int) -> None:
        gateway = psutil.Process(pid)
        triton = gateway.children(recursive=True)
        self._parts = {"gateway": [gateway], "Triton": triton}
        self.idle = self._sample()
        self.peak = dict(self.idle)  # of each part
        self.peak_together = sum(self.idle.values())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(INTERVAL_S):
            now = self._sample()
            self.peak_together = max(self.peak_together, sum(now.values()))
            self.peak = {part: max(self.peak[part], size) for part, size in now.items()}

    def _sample(self) -> dict[str, int]:
        return {
            part: sum(process.memory_full_info().pss for process in processes)
            for part, processes in self._parts.items()
        }


def upscale(url: str, image: bytes, steps: int) -> None:
    """Send one request, which must succeed."""
    response = httpx.post(
        f"{url}/upscale",
        files={"image": image},
        data={"prompt": "a photo", "num_inference_steps": steps, "seed": 0, "safety_check": False},
        timeout=None,  # noqa: S113 - the server has its own
    )
    response.raise_for_status()


def unet(metrics_url: str, of: str) -> int:
    """Calls of the UNet, or rows in them, since the server's start."""
    text = httpx.get(metrics_url).text
    found = re.search(rf'upscale_denoise_unet_total{{.*of="{of}".*}} (\S+)', text)
    return int(float(found[1])) if found else 0


def main(
    pid: Annotated[int, typer.Option(help="Process id of `upscale serve`.")],
    metrics: Annotated[str, typer.Option(help="Address of Triton's metrics.")],
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    sides: Annotated[list[int], typer.Option("--side", help="Pixels; repeat it.")] = [  # noqa: B006
        128,
        256,
        512,
        1024,
    ],
    together: Annotated[int, typer.Option(help="Requests at once.")] = 1,
    steps: Annotated[int, typer.Option(help="num_inference_steps.")] = 20,
) -> None:
    """Print one row a size."""
    table = Table("image", "seconds", "peak", "above idle", "gateway", "Triton", "calls", "rows")
    table.title = f"{together} at once, {steps} steps; MiB"
    upscale(url, file_of(photograph("astronaut", 64, 64)), 1)
    for side in sides:
        image = file_of(photograph("astronaut", side, side), "JPEG")
        before = [unet(metrics, of) for of in ("calls", "rows")]
        began = time.monotonic()
        with Memory(pid) as memory, ThreadPoolExecutor(together) as pool:
            requests = [pool.submit(upscale, url, image, steps) for _ in range(together)]
            for request in requests:
                request.result()
        seconds = time.monotonic() - began
        calls = [unet(metrics, of) - n for of, n in zip(("calls", "rows"), before, strict=True)]
        above = memory.peak_together - sum(memory.idle.values())
        sizes = [memory.peak_together, above, *memory.peak.values()]
        cells = [f"{size / MEBIBYTE:.0f}" for size in sizes]
        table.add_row(f"{side} x {side}", f"{seconds:.1f}", *cells, *map(str, calls))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
