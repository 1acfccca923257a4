"""How many Tritons a load needs, how long its requests take, and what they cost.

`python -m benchmarks.sizing --help`; docs/sizing.md has the formulas and examples. The queue is a
birth-death chain: with n requests in the system, the Tritons together finish as many a second as n
requests that share UNet calls let them, and past all their places requests wait. Where batching
brings nothing, that is Erlang's C formula. A simulation in the tests agrees with it.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

LARGE = 1e200  # far from overflowing
MAY_BE_REFUSED = 0.001
console = Console()


@dataclass(frozen=True)
class Triton:
    """One Triton and the images that it gets, all alike.

    steps: of an image. rows: of an image in each UNet call, tiles x (2 with guidance, else 1).
    call_s, row_s: a UNet call of r rows takes call_s + r * row_s, seconds. largest_call: rows, the
    unet_batch_size of denoise. other_s: encoding and decoding an image, seconds. places: images
    that step together, the max_active of denoise.
    """

    steps: int
    rows: int
    call_s: float
    row_s: float
    other_s: float
    places: int = 8
    largest_call: int = 16

    def round_s(self, images: int) -> float:
        """One step of so many images."""
        rows = images * self.rows
        return math.ceil(rows / self.largest_call) * self.call_s + rows * self.row_s

    def rate(self, images: int) -> float:
        """Images a second while so many step together."""
        if images == 0:
            return 0.0
        return images / (self.steps * self.round_s(images) + images * self.other_s)

    def seconds(self, images: int) -> float:
        """How long an image takes among so many."""
        return images / self.rate(images)


@dataclass(frozen=True)
class Load:
    """What becomes of requests; waits, refused: shares of them. seconds: mean, waiting included."""

    busy: float
    waits: float
    refused: float
    seconds: float


def load(triton: Triton, count: int, per_hour: float, waiting: int) -> Load:
    """Of a Poisson stream of requests before `count` Tritons with room for `waiting` more."""
    arrivals = per_hour / 3600
    full = count * triton.places
    weights = [1.0]  # of 0, 1, ... requests in the system
    for requests in range(1, full + waiting + 1):
        weights.append(weights[-1] * arrivals / _rate(triton, count, requests))
        if weights[-1] > LARGE:
            weights = [weight / LARGE for weight in weights]
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    refused = shares[-1]
    accepted = arrivals * (1 - refused)
    present = math.fsum(n * share for n, share in enumerate(shares))
    return Load(
        busy=accepted / (count * triton.rate(triton.places)),
        waits=math.fsum(shares[full:-1]),
        refused=refused,
        seconds=present / accepted,
    )


def tritons_for(triton: Triton, per_hour: float, waiting: int, may_wait: float) -> int:
    """The fewest with which at most this share of requests waits and 1 of 1000 is refused."""
    count = math.ceil(per_hour / 3600 / triton.rate(triton.places))
    while True:
        result = load(triton, count, per_hour, waiting)
        if result.waits <= may_wait and result.refused <= MAY_BE_REFUSED:
            return count
        count += 1


def price_of_1000(price_per_hour: float, count: int, served_per_hour: float) -> float:
    """In the currency of the price, which is that of one Triton for an hour."""
    return 1000 * price_per_hour * count / served_per_hour


def _rate(triton: Triton, count: int, requests: int) -> float:
    """Images a second of all together, spread evenly."""
    each, more = divmod(min(requests, count * triton.places), count)
    return more * triton.rate(each + 1) + (count - more) * triton.rate(each)


def main(
    per_hour: Annotated[float, typer.Option(help="Requests an hour.")],
    call_s: Annotated[float, typer.Option(help="UNet call: seconds without its rows.")],
    row_s: Annotated[float, typer.Option(help="UNet call: seconds of each row.")],
    other_s: Annotated[float, typer.Option(help="Encoding and decoding an image, seconds.")],
    steps: Annotated[int, typer.Option(help="Steps of an image.")] = 75,
    rows: Annotated[int, typer.Option(help="Rows of an image in each UNet call.")] = 2,
    price: Annotated[float, typer.Option(help="Of a GPU for an hour.")] = 1.0,
    waiting: Annotated[int, typer.Option(help="MAX_WAITING of all gateways.")] = 56,
    may_wait: Annotated[float, typer.Option(help="Share of the requests that may wait.")] = 0.05,
) -> None:
    """Tell how many Tritons a load needs, and what fewer or more would do."""
    triton = Triton(steps, rows, call_s, row_s, other_s)
    console.print(
        f"One Triton: {triton.seconds(1):.2f} s an image alone,"
        f" {triton.seconds(triton.places):.2f} s among {triton.places};"
        f" at most {3600 * triton.rate(triton.places):.0f} images an hour."
    )
    needed = tritons_for(triton, per_hour, waiting, may_wait)
    table = Table("Tritons", "busy", "wait", "refused", "mean seconds", "price of 1000")
    for count in range(max(1, needed - 2), needed + 3):
        result = load(triton, count, per_hour, waiting)
        table.add_row(
            f"{count}{' <' if count == needed else ''}",
            f"{result.busy:.0%}",
            f"{result.waits:.1%}",
            f"{result.refused:.2%}",
            f"{result.seconds:.1f}",
            f"{price_of_1000(price, count, per_hour * (1 - result.refused)):.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
