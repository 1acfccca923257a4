"""The queueing formula against Erlang's, against a simulation, and at its ends."""

import math

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.sizing import Triton, load, main, price_of_1000, tritons_for
from tests.benchmarks.queue_simulation import simulate

GPU = Triton(steps=75, rows=2, call_s=0.004, row_s=0.0015, other_s=0.05)


def erlang_c(servers: int, offered: float) -> float:
    """The share that waits; offered: arrivals by one server's rate."""
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**n / math.factorial(n) for n in range(servers)) + last)


def test_without_batching_it_is_erlangs_formula() -> None:
    one = Triton(steps=10, rows=1, call_s=0.0, row_s=0.1, other_s=0.0, places=1)
    for count, per_hour in ((1, 1800.0), (5, 14_400.0), (20, 64_800.0)):
        expected = erlang_c(count, per_hour / 3600)
        assert load(one, count, per_hour, 5000).waits == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [0.6, 0.9, 1.2])
@pytest.mark.parametrize("count", [1, 3])
def test_it_agrees_with_the_simulation(count: int, share: float) -> None:
    """On the safe side: images of equal length wait less than those of random length."""
    per_hour = share * count * 3600 * GPU.rate(GPU.places)
    formula = load(GPU, count, per_hour, 20)
    counted = simulate(GPU, count, per_hour, 20, 4000)
    assert formula.busy == pytest.approx(counted.busy, rel=0.06)
    assert formula.waits == pytest.approx(counted.waits, abs=0.12)
    assert formula.refused == pytest.approx(counted.refused, abs=0.04)
    assert 0.75 * formula.seconds < counted.seconds < 1.1 * formula.seconds


def test_a_lonely_request_takes_its_own_time_and_a_flood_fills_everything() -> None:
    assert load(GPU, 2, 0.01, 10).seconds == pytest.approx(GPU.seconds(1))
    flood = load(GPU, 2, 1e7, 10)
    assert flood.busy == pytest.approx(1, abs=1e-3)
    assert flood.refused > 0.9
    assert flood.seconds == pytest.approx((16 + 10) / (2 * GPU.rate(8)), rel=0.02)


def test_more_rows_than_a_call_takes_make_two_calls() -> None:
    assert GPU.round_s(8) == pytest.approx(0.004 + 16 * 0.0015)
    assert Triton(75, 4, 0.004, 0.0015, 0.05).round_s(8) == pytest.approx(2 * 0.004 + 32 * 0.0015)


def test_the_fewest_that_do_are_found() -> None:
    per_hour = 20_000
    count = tritons_for(GPU, per_hour, 56, 0.05)
    assert load(GPU, count, per_hour, 56).waits <= 0.05
    assert load(GPU, count - 1, per_hour, 56).waits > 0.05
    assert price_of_1000(2.5, count, per_hour) == pytest.approx(count / 8)


def test_the_command_marks_what_is_needed() -> None:
    app = typer.Typer()
    app.command()(main)
    arguments = "--per-hour 20000 --call-s 0.004 --row-s 0.0015 --other-s 0.05 --price 2.5"
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0
