"""What the commands say to a person, on standard error."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

console = Console(stderr=True, soft_wrap=True, highlight=False)


def tell(error: Exception) -> None:
    """Say why something went wrong, without a traceback."""
    console.print("[red]Error:[/red]", end=" ")
    console.print(str(error), markup=False)


def fail(error: Exception, status: int = 1) -> NoReturn:
    """Say why, without a traceback, and end with a status."""
    tell(error)
    raise typer.Exit(status)


def byte_bars() -> Progress:
    """Progress in bytes and seconds."""
    return _bars(DownloadColumn())


def count_bars() -> Progress:
    """Progress in things done."""
    return _bars(MofNCompleteColumn())


def _bars(done: DownloadColumn | MofNCompleteColumn) -> Progress:
    text = TextColumn("{task.description}")
    return Progress(SpinnerColumn(), text, BarColumn(), done, TimeElapsedColumn(), console=console)
