"""The benchmark behind the table: what it is asked for, and how it may end."""

import sys
from pathlib import Path

import pytest

from doctor.finding import State
from doctor.speed import arguments, outcome

HERE = Path("here")


def test_a_gpu_gets_the_full_size_and_a_cpu_a_small_one() -> None:
    assert "--tiny" not in arguments(None, None, "cuda:0")
    assert "--tiny" in arguments(None, None, "cpu")


def test_a_repository_is_measured_where_there_is_its_model() -> None:
    assert arguments(HERE, HERE, "cuda:0")[-4:] == ["--model", "here", "--repository", "here"]
    assert "--repository" not in arguments(HERE, None, "cuda:0")


@pytest.mark.parametrize(
    ("program", "state"),
    [
        ("import os; assert os.environ['CUDA_VISIBLE_DEVICES'] == ''", State.GOOD),
        ("raise SystemExit(3)", State.WRONG),
    ],
)
def test_its_end_is_told(program: str, state: State) -> None:
    assert outcome([sys.executable, "-c", program], "cpu", 60).state == state


def test_one_that_takes_too_long_is_ended_with_what_it_started() -> None:
    program = "import subprocess; subprocess.run(['sleep', '600'])"
    found = outcome([sys.executable, "-c", program, "folder", "--tiny"], "cpu", 0.5)
    assert found.state == State.UNCHECKED
    assert found.sentence.endswith("FOLDER --tiny")
