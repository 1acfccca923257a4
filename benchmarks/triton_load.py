"""`upscale bench triton`: the ensemble, each stage and each engine under perf_analyzer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tritonclient.grpc import InferenceServerClient

from benchmarks.perf_analyzer import Load, Measured, measure
from benchmarks.section import link, plotted, section, table
from benchmarks.statistics import Statistics
from benchmarks.tensors import captured

ENSEMBLE = "upscale"
STAGES = ("encode", "denoise", "decode")
ENGINES = ("text_encoder", "unet", "vae_decoder", "safety_checker")
DECOUPLED = (ENSEMBLE, "denoise", "decode")
RATES = (0.5, 0.8, 1.1)  # of the most that the ensemble reached with requests in flight
PLOT = "triton.png"


@dataclass(frozen=True)
class Row:
    """One load on one model. engines: seconds of each engine for one request."""

    model: str
    load: Load
    measured: Measured
    engines: dict[str, float]


class Sweep:
    """Loads on one Triton, with inputs of one photograph.

    url: Triton's gRPC; metrics_url: its metrics. requests: of a third of a load, at least; as many
    as are in flight too.
    """

    def __init__(
        self, url: str, metrics_url: str, image: Image.Image, steps: int, requests: int
    ) -> None:
        self._url = url
        self._requests = requests
        self._client = InferenceServerClient(url)
        self._statistics = Statistics(self._client, metrics_url)
        has_checker = self._client.is_model_ready("safety_checker")
        self._tensors = captured(self._client, image, steps, safety_check=has_checker)
        self.models = [name for name in (ENSEMBLE, *STAGES, *ENGINES) if name in self._tensors]

    def run(self, concurrencies: Sequence[int], rates: Sequence[float]) -> Iterator[Row]:
        """The ensemble at every load, then every other model with 1 and the most in flight.

        rates: requests a second; without any, RATES of what the ensemble reached.
        """
        rows = []
        for concurrency in concurrencies:
            rows.append(self._row(ENSEMBLE, self._in_flight(concurrency)))
            yield rows[-1]
        most = max(row.measured.throughput for row in rows)
        for rate in rates or [share * most for share in RATES]:
            yield self._row(ENSEMBLE, Load(self._requests, rate=rate))
        for model in self.models[1:]:
            for concurrency in sorted({1, max(concurrencies)}):
                yield self._row(model, self._in_flight(concurrency))

    def _in_flight(self, concurrency: int) -> Load:
        return Load(max(self._requests, concurrency), concurrency=concurrency)

    def _row(self, model: str, load: Load) -> Row:
        before = self._statistics.read()
        streams = model in DECOUPLED
        measured = measure(self._url, model, self._tensors[model], load, streams=streams)
        times = self._statistics.since(before)
        requests = times["decode" if model == ENSEMBLE else model].requests
        engines = {name: times[name].compute_s / requests for name in ENGINES if name in times}
        return Row(model, load, measured, engines)


def report(rows: Sequence[Row], image: Image.Image, steps: int, plots: Path) -> str:
    """The section of RESULTS.md; draws its plot into a folder."""
    draw([row for row in rows if row.model == ENSEMBLE], plots / PLOT)
    head = ["model", "load", "requests/s", "p50, ms", "p90, ms", "p99, ms", "queue, ms"]
    head += ["compute, ms", "engines, ms"]
    return section(
        "perf_analyzer on Triton",
        f"A photograph of {image.width} x {image.height}, {steps} steps. Queue and compute are"
        " Triton's of the model itself, a request; for the decoupled `denoise`, whose loop works"
        " after its `execute`, they say nothing. Engines: what all engines together computed for a"
        " request. Rates are Poisson processes.",
        table(head, map(cells, rows)),
        link(plots / PLOT, "Throughput and latency of the ensemble, and engines' time a request"),
    )


def cells(row: Row) -> list[str]:
    """A row of the table."""
    measured = row.measured
    seconds = [measured.p50_s, measured.p90_s, measured.p99_s]
    own = [measured.queue_s, measured.compute_s]
    return [
        row.model,
        name_of(row.load),
        # Under a rate perf_analyzer leaves out what crosses the edges of its windows.
        "" if row.load.concurrency is None else f"{measured.throughput:.2f}",
        *(f"{1e3 * value:.1f}" for value in seconds),
        *(["", ""] if row.model in DECOUPLED else [f"{1e3 * value:.2f}" for value in own]),
        f"{1e3 * sum(row.engines.values()):.1f}",
    ]


def name_of(load: Load) -> str:
    """As the table has it."""
    return f"{load.rate:.2f}/s" if load.concurrency is None else f"{load.concurrency} in flight"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Throughput against latency, and the time of engines for a request, of the ensemble."""
    with plotted(path, 2) as (curve, bars):
        in_flight = [row for row in rows if row.load.concurrency is not None]
        for percent in (50, 99):
            latencies = [getattr(row.measured, f"p{percent}_s") for row in in_flight]
            throughputs = [row.measured.throughput for row in in_flight]
            curve.plot(throughputs, latencies, "o-", label=f"p{percent}")
        for row in in_flight:
            place = (row.measured.throughput, row.measured.p50_s)
            curve.annotate(str(row.load.concurrency), place, fontsize="small")
        curve.set(xlabel="requests/s", ylabel="latency, s", title="by requests in flight")
        curve.set_ylim(bottom=0)
        names = [str(row.load.concurrency) for row in in_flight]
        bottom = [0.0] * len(names)
        for engine in rows[0].engines:
            heights = [row.engines[engine] for row in in_flight]
            bars.bar(names, heights, bottom=bottom, label=engine)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        bars.set(xlabel="requests in flight", ylabel="s", title="engines, for one request")
