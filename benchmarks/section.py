"""A section of a page: what was measured, with which command, where and when, and its plot."""

import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import psutil
from rich.console import Console
from rich.markdown import Markdown

from gateway.routes.hardware import gpu_info

RESULTS = Path(__file__).parent / "RESULTS.md"
PLOTS = "plots"  # a folder beside the page
TOOLS = ("nvidia-pytriton", "onnxruntime", "torch", "diffusers", "numpy")
MEBIBYTE = 2**20
mpl.use("Agg")  # files only; no display is needed
INCHES = (4.2, 3.0)  # of one plot
RESOLUTION = 80  # pixels an inch


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column to the left, the others, numbers, to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def section(title: str, *parts: str, program: str = "upscale") -> str:
    """A heading, the command that is running, the parts, and what it ran on."""
    command = f"{program} {shlex.join(sys.argv[1:])}".rstrip()
    return "\n\n".join([f"## {title}", f"`{command}`", *parts, f"*{conditions()}*"]) + "\n"


def conditions() -> str:
    """Hardware, versions and the date."""
    cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gpus = [gpu["name"] for gpu in gpu_info().values()]
    hardware = [
        f"{len(os.sched_getaffinity(0))} cores of {cpu[0] if cpu else platform.machine()}",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        ", ".join(gpus) or "no GPU",
        f"load {os.getloadavg()[0]:.1f} at the end",
    ]
    versions = [f"Python {platform.python_version()}", *filter(None, map(installed, TOOLS))]
    return "; ".join([*hardware, *versions, f"{datetime.now(UTC):%Y-%m-%d}"])


def installed(package: str) -> str | None:
    """Its name and version, if it is there."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def plots_folder(*, record: bool, page: Path = RESULTS) -> Path:
    """Where plots go: beside the page, or `plots` here where the section is only printed."""
    return (page.parent if record else Path()) / PLOTS


def publish(text: str, *, record: bool, page: Path = RESULTS) -> None:
    """Print a section: as it is into a pipe, drawn on a terminal. record: into the page too."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        sys.stdout.write(text)
    if record:
        old = page.read_text() if page.exists() else "# Results\n"
        page.write_text(with_section(old, text))


def with_section(page: str, text: str) -> str:
    """The page with the section of that title exchanged, or added at the end."""
    title = text.splitlines()[0]
    sections = re.split(r"^(?=## )", page.rstrip("\n") + "\n\n", flags=re.MULTILINE)
    new = text.rstrip("\n") + "\n\n"
    titles = [old.splitlines()[0] if old.strip() else "" for old in sections]
    if title in titles:
        sections[titles.index(title)] = new
    else:
        sections.append(new)
    return "".join(sections).rstrip("\n") + "\n"


@contextmanager
def plotted(path: Path, count: int = 1) -> Iterator[list[Any]]:
    """Draw on `count` axes side by side; afterwards they are in a PNG file at `path`."""
    figure, axes = plt.subplots(
        1, count, figsize=(INCHES[0] * count, INCHES[1]), layout="constrained", squeeze=False
    )
    yield list(axes[0])
    for axis in axes[0]:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=RESOLUTION)
    plt.close(figure)


def link(path: Path, description: str) -> str:
    """The plot in Markdown, as what lies beside its folder refers to it."""
    return f"![{description}]({path.parent.name}/{path.name})"
