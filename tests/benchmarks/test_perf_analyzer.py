"""perf_analyzer: finding it, reading it, and running it."""

from pathlib import Path

import pytest
from PIL import Image
from tritonclient.grpc import InferenceServerClient
from typer.testing import CliRunner

from benchmarks import perf_analyzer
from benchmarks.perf_analyzer import Load, PerfAnalyzerError, find, read, reason
from benchmarks.tensors import captured, infer
from benchmarks.triton_load import ENGINES, STAGES, Sweep
from cli.__main__ import app
from tests.photographs import photograph
from tests.server import Server

HEAD = (
    "Concurrency,Inferences/Second,Response Throughput,Client Send,Network+Server Send/Recv,"
    "Server Queue,Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency,Avg latency,request/response,response wait"
)


def test_a_report_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    report.write_text(f"{HEAD}\n2,4.5,4.5,0,1,100,20,3000,400,0,5000,6000,6500,7000,5500,0,0\n")
    measured = read(report)
    assert measured.throughput == 4.5
    assert (measured.p50_s, measured.p90_s, measured.p99_s) == (0.005, 0.006, 0.007)
    assert (measured.queue_s, measured.compute_s) == pytest.approx((0.0001, 0.00342))


def test_loads_as_options() -> None:
    assert Load(4, concurrency=8).options == ["--concurrency-range", "8"]
    assert Load(4, rate=0.25).options[:2] == ["--request-rate-range", "0.25:0.25:1"]


def test_an_error_is_found_before_the_manual() -> None:
    assert reason("Error: no such model\nUsage: perf_analyzer\n -m: name\n") == (
        "Error: no such model"
    )


def test_without_it_a_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(perf_analyzer, "FOLDER", tmp_path)
    with pytest.raises(PerfAnalyzerError, match="make perf-analyzer"):
        find()
    result = CliRunner().invoke(app, ["bench", "triton"])
    assert result.exit_code == 1
    assert "make perf-analyzer" in result.stderr.replace("\n", " ")


def test_the_inputs_of_every_engine_are_taken(server: Server) -> None:
    with InferenceServerClient(server.triton_url) as client:
        tensors = captured(client, photograph("cat", 16, 16), 2, safety_check=True)
        for name in ENGINES:
            infer(client, name, {key: array[None] for key, array in tensors[name].items()}, ())


# Each of its runs takes 4 s, three windows of a second at least: one with a stream and one without.
@pytest.mark.parametrize(
    "models",
    [("decode", "unet"), pytest.param((*STAGES, *ENGINES), marks=pytest.mark.long)],
    ids=["two", "all"],
)
def test_it_measures_the_ensemble_the_stages_and_the_engines(
    server: Server, models: tuple[str, ...]
) -> None:
    image: Image.Image = photograph("cat", 16, 16)
    sweep = Sweep(server.triton_url, server.metrics_url, image, steps=2, requests=2)
    assert sweep.models == ["upscale", *STAGES, *ENGINES]
    sweep.models = ["upscale", *models]
    rows = list(sweep.run([1], [5.0]))
    assert [row.model for row in rows] == ["upscale", "upscale", *models]
    for row in rows:
        assert row.measured.throughput > 0
        assert 0 < row.measured.p50_s <= row.measured.p99_s
    assert rows[0].engines["unet"] > 0
    assert rows[0].engines["safety_checker"] > 0
