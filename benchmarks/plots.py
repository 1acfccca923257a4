"""What all plots have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.section import PLOTS

mpl.use("Agg")  # files only; no display is needed
INCHES = (4.2, 3.0)  # of one plot
RESOLUTION = 80  # pixels an inch


@contextmanager
def plotted(name: str, count: int = 1) -> Iterator[list[Any]]:
    """Draw on `count` axes side by side; afterwards they are in plots/NAME.png."""
    figure, axes = plt.subplots(
        1, count, figsize=(INCHES[0] * count, INCHES[1]), layout="constrained", squeeze=False
    )
    yield list(axes[0])
    for axis in axes[0]:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    PLOTS.mkdir(exist_ok=True)
    figure.savefig(path_of(name), dpi=RESOLUTION)
    plt.close(figure)


def path_of(name: str) -> Path:
    """The file of a plot."""
    return PLOTS / f"{name}.png"


def link(name: str, description: str) -> str:
    """The plot in Markdown, as RESULTS.md refers to it."""
    return f"![{description}]({PLOTS.name}/{name}.png)"
