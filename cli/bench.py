"""`upscale bench`: measure a server. Each command imports what it needs when it runs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail

DEMO = Path(__file__).parents[1] / "demo" / "model"
CONCURRENCIES = [1, 2, 4, 8]
RATES: list[float] = []
HTTP_SIDES, HTTP_STEPS = [32, 64, 96], [5, 10, 20]
PEER_SIDES = [64, 128]
GROWTH_SIDES, GROWTH_STEPS = [64, 128, 256, 512, 1024], [1, 5, 20, 75]
GROWTH_CONCURRENCIES = [1, 2, 4, 8, 16, 32]

app = typer.Typer(
    help="Measure a server. Each command prints one section of benchmarks/RESULTS.md.",
    no_args_is_help=True,
)
Repository = Annotated[
    Path | None,
    typer.Option(help="A repository that `upscale export` wrote; default: the demo model's."),
]
Photograph = Annotated[
    Path | None, typer.Option("--image", help="A photograph; default: scikit-image's cat.")
]
Record = Annotated[
    bool, typer.Option("--record", help="Write the section into benchmarks/RESULTS.md as well.")
]
Concurrencies = Annotated[
    list[int], typer.Option("--concurrency", min=1, help="Requests in flight; repeat it.")
]
Rates = Annotated[
    list[float],
    typer.Option("--rate", min=0.001, help="Requests a second; repeat it. Default: by the server."),
]


@app.command()
def triton(
    repository: Repository = None,
    url: Annotated[
        str | None,
        typer.Option("--triton", help="gRPC address of a Triton that runs; default: start one."),
    ] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="Its metrics; default: on port 8002 of its host.")
    ] = None,
    image: Photograph = None,
    side: Annotated[int, typer.Option(min=1, help="Pixels of the photograph's side.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="num_inference_steps.")] = 10,
    requests: Annotated[int, typer.Option(min=1, help="In each of a load's 3 windows.")] = 8,
    concurrency: Concurrencies = CONCURRENCIES,
    rate: Rates = RATES,
    record: Record = False,
) -> None:
    """NVIDIA's perf_analyzer on the ensemble, each stage and each engine."""
    with told_errors():
        from benchmarks.perf_analyzer import find
        from benchmarks.photograph import photograph
        from benchmarks.section import plots_folder, publish
        from benchmarks.triton_load import Sweep, cells, report

        find()
        picture = photograph(image, side, side)
        rows = []
        with served_triton(repository, url, metrics_url) as addresses:
            for row in Sweep(*addresses, picture, steps, requests).run(concurrency, rate):
                console.print(" | ".join(cells(row)), markup=False)
                rows.append(row)
        plots = plots_folder(record=record)
        publish(report(rows, picture, steps, plots), record=record)


@app.command()
def http(
    repository: Repository = None,
    url: Annotated[
        str | None, typer.Option(help="Address of a server that runs; default: start one.")
    ] = None,
    image: Photograph = None,
    side: Annotated[list[int], typer.Option(min=1, help="Pixels; repeat it.")] = HTTP_SIDES,
    steps: Annotated[
        list[int], typer.Option(min=1, help="num_inference_steps; repeat it.")
    ] = HTTP_STEPS,
    seed: Annotated[int, typer.Option(help="Of the plan.")] = 0,
    requests: Annotated[int, typer.Option(min=1, help="Of a load, at least.")] = 16,
    concurrency: Concurrencies = CONCURRENCIES,
    rate: Rates = RATES,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="Open loops with equal gaps; default: Poisson.")
    ] = False,
    record: Record = False,
) -> None:
    """Closed-loop and open-loop load on POST /upscale, with /health beside it."""
    with told_errors():
        from benchmarks.http_load import HttpLoad, Mix, cells, report
        from benchmarks.photograph import photograph, png
        from benchmarks.section import plots_folder, publish

        mix = Mix(side, steps, seed)
        images = {length: png(photograph(image, length, length)) for length in side}
        rows = []
        with served_http(repository, url) as address:
            load = HttpLoad(address, images, mix, requests, is_poisson=not fixed)
            for row in load.rows(concurrency, rate):
                console.print(" | ".join(cells(row)), markup=False)
                rows.append(row)
        plots = plots_folder(record=record)
        publish(report(rows, mix, plots, is_poisson=not fixed), record=record)


@app.command()
def peer(
    repository: Repository = None,
    model: Annotated[
        Path, typer.Option(help="The diffusers folder of the repository's weights.")
    ] = DEMO,
    image: Photograph = None,
    side: Annotated[list[int], typer.Option(min=8, help="Pixels; repeat it.")] = PEER_SIDES,
    steps: Annotated[int, typer.Option(min=1, help="num_inference_steps.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each server.")] = 2,
    alone: Annotated[int, typer.Option(min=1, help="Requests one after the other.")] = 3,
    record: Record = False,
) -> None:
    """Beside a server like ai-runner's: latency, throughput, /health and memory as ratios."""
    with told_errors():
        from benchmarks.photograph import photograph, png
        from benchmarks.section import publish
        from benchmarks.side_by_side import compare, report

        served = chosen(repository)
        comparisons = {}
        for length in side:
            images = {length: png(photograph(image, length, length))}
            size = f"{length} x {length}"
            comparisons[size] = compare(served, model, images, steps, rounds, alone)
            console.print(f"{size}: done.")
        publish(report(comparisons, steps), record=record)


@app.command()
def request(
    repository: Repository = None,
    image: Photograph = None,
    side: Annotated[int, typer.Option(min=1, help="Pixels of the photograph's side.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="num_inference_steps.")] = 20,
    guidance_scale: Annotated[float, typer.Option(help="Above 1 there is guidance.")] = 9.0,
    safety_check: Annotated[bool, typer.Option(help="Look at the result.")] = True,
    requests: Annotated[int, typer.Option(min=1, help="The mean of so many.")] = 10,
    record: Record = False,
) -> None:
    """Where the time of one request goes, part by part."""
    with told_errors():
        from benchmarks.breakdown import measure, report
        from benchmarks.photograph import photograph, png
        from benchmarks.section import publish
        from benchmarks.server import UpscaleServer

        fields = {
            "prompt": "a photo",
            "seed": "0",
            "num_inference_steps": str(steps),
            "guidance_scale": str(guidance_scale),
            "safety_check": str(safety_check),
        }
        picture = png(photograph(image, side, side))
        with UpscaleServer(chosen(repository)) as server:
            urls = (server.url, server.triton_url, server.metrics_url)
            breakdown = measure(*urls, picture, fields, requests)
        description = f"{side} x {side}, {steps} steps, guidance_scale {guidance_scale:g}"
        publish(report(breakdown, description, requests), record=record)


@app.command()
def growth(
    repository: Repository = None,
    image: Photograph = None,
    side: Annotated[list[int], typer.Option(min=8, help="Pixels; repeat it.")] = GROWTH_SIDES,
    side_steps: Annotated[int, typer.Option(min=1, help="Steps of each size.")] = 2,
    steps: Annotated[list[int], typer.Option(min=1, help="Of 64 x 64; repeat it.")] = GROWTH_STEPS,
    concurrency: Annotated[
        list[int], typer.Option(min=1, help="Requests of 64 x 64 at once; repeat it.")
    ] = GROWTH_CONCURRENCIES,
    record: Record = False,
) -> None:
    """Time and memory against size, steps and requests at once, beside the expected laws."""
    with told_errors():
        from benchmarks.growth import Result, all_series, measure, report
        from benchmarks.photograph import photograph
        from benchmarks.section import plots_folder, publish
        from benchmarks.server import UpscaleServer

        results = []
        for series in all_series(side, side_steps, steps, concurrency):
            # A server of its own, so that no memory of another series is idle in it.
            measured = []
            with UpscaleServer(chosen(repository)) as server:
                for case in (series.cases[0], *series.cases):  # the first one warms up
                    measured.append(measure(server, lambda n: photograph(image, n, n), case))
                    console.print(
                        f"{series.name}: {series.value(case)}: {measured[-1].seconds:.1f} s"
                    )
            results.append(Result(series, measured[1:], measured[0].idle_bytes))
        publish(report(results, plots_folder(record=record)), record=record)


@contextmanager
def served_triton(
    repository: Path | None, url: str | None, metrics_url: str | None
) -> Iterator[tuple[str, str]]:
    """gRPC and metrics of a Triton: the one named, or one of our own while the block runs."""
    from benchmarks.server import UpscaleServer

    if url is not None:
        yield url, metrics_url or f"http://{url.rpartition(':')[0]}:8002/metrics"
        return
    with UpscaleServer(chosen(repository)) as server:
        yield server.triton_url, server.metrics_url


@contextmanager
def served_http(repository: Path | None, url: str | None) -> Iterator[str]:
    """The address of a server: the one named, or one of our own while the block runs."""
    from benchmarks.server import UpscaleServer

    if url is not None:
        yield url.rstrip("/")
        return
    with UpscaleServer(chosen(repository)) as server:
        yield server.url


def chosen(repository: Path | None) -> Path:
    """The repository that is named, or the demo model's."""
    from embedded.default_repository import default_repository

    return repository or asyncio.run(default_repository(console.print))


@contextmanager
def told_errors() -> Iterator[None]:
    """End with a sentence where a person can help."""
    try:
        import httpx
        from tritonclient.utils import InferenceServerException

        from benchmarks.perf_analyzer import PerfAnalyzerError
        from benchmarks.server import ServerError
        from gateway.serve import ServeError

        try:
            yield
        except (PerfAnalyzerError, ServerError, ServeError, ValueError) as error:
            fail(error)
        except (httpx.HTTPError, InferenceServerException) as error:
            fail(ServerError(f"The server does not answer as it should: {error}"))
    except ModuleNotFoundError as error:
        fail(RuntimeError(f"{error.name} is not installed; `make venv-test` installs it."))
