"""Sections of RESULTS.md."""

import sys
from pathlib import Path

import pytest

import benchmarks.section
from benchmarks.section import RESULTS, plots_folder, section, table, with_section


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    lines = table(["a", "b"], [["x", "1"], ["y", "2"]]).splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", "| x | 1 |", "| y | 2 |"]


def test_a_section_names_its_command_and_what_it_ran_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.section, "gpu_info", dict)
    monkeypatch.setattr(sys, "argv", ["/bin/upscale", "bench", "http", "--image", "a photo.png"])
    text = section("HTTP", "Words.")
    assert text.startswith("## HTTP\n\n`upscale bench http --image 'a photo.png'`\n\nWords.\n\n*")
    for words in ("cores of", "GiB", "no GPU", "Python 3.", "torch 2.", "nvidia-pytriton 0.7.0"):
        assert words in text
    assert section("HTTP", program="python -m it").splitlines()[2].startswith("`python -m it bench")


def test_a_section_takes_the_place_of_the_one_of_its_title() -> None:
    page = "# Results\n\nWords.\n\n## A\n\nold\n\n## B\n\nkept\n"
    changed = with_section(page, "## A\n\nnew\n")
    assert changed == "# Results\n\nWords.\n\n## A\n\nnew\n\n## B\n\nkept\n"
    assert with_section(changed, "## A\n\nnew\n") == changed


def test_a_new_section_comes_last() -> None:
    assert with_section("# Results\n", "## A\n\nnew\n") == "# Results\n\n## A\n\nnew\n"


def test_what_is_only_printed_leaves_the_plots_of_the_page() -> None:
    assert plots_folder(record=True).parent == RESULTS.parent
    assert plots_folder(record=False) == Path("plots")
    assert plots_folder(record=True, page=Path("docs/steps.md")) == Path("docs/plots")
