"""What one preview costs: drawn in the denoise stage, then a JPEG in a data URL in the gateway.

`PYTHONPATH=model_repository/denoise/1 python -m benchmarks.preview_cost`. One thread, as in the
stage; the fastest of many times, so that other load on the machine shows little.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from embedded.default_repository import default_repository
from gateway.images.data_url import DataUrl
from gateway.images.write import write_image
from stages.preview import Preview
from tests.photographs import photograph

console = Console()


def fastest_ms(work: Callable[[], Any], times: int) -> float:
    """The shortest of so many runs, milliseconds."""
    lasted = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        lasted.append(time.perf_counter() - began)
    return min(lasted) * 1e3


def main(times: Annotated[int, typer.Option(help="Runs of each.")] = 200) -> None:
    """Print a row a size of input; larger ones are thinned to the last."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    preview = Preview(default_repository(console.print) / "denoise" / "1" / "preview.npy")
    table = Table("image", "preview", "drawn, ms", "JPEG and base64, ms", "kB")
    for side in (64, 128, 256):
        latents = torch.randn(1, 4, side, side)
        height, width, _ = preview.draw(latents).shape
        picture = np.asarray(photograph("astronaut", height, width))

        def url(picture: Any = picture) -> str:
            return str(DataUrl(write_image(picture, "jpeg"), "jpeg"))

        drawn = fastest_ms(lambda latents=latents: preview.draw(latents), times)  # type: ignore[misc]
        cells = [f"{drawn:.2f}", f"{fastest_ms(url, times):.2f}", f"{len(url()) / 1e3:.0f}"]
        table.add_row(f"{side} x {side}", f"{height} x {width}", *cells)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
