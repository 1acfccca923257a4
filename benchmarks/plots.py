"""What all plots have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")  # files only; no display is needed
INCHES = (4.2, 3.0)  # of one plot
RESOLUTION = 80  # pixels an inch


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
