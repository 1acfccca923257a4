"""`upscale doctor`: what a machine lacks to serve, before it serves."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.console import console, fail

if TYPE_CHECKING:
    from doctor.finding import Finding

ROOT = Path(__file__).parents[1]
STYLES = {"good": "green", "wrong": "bold red", "not checked": "yellow"}
STATE_WIDTH, SUBJECT_WIDTH = 11, 20


def doctor(
    repository: Annotated[
        Path | None,
        typer.Option(help="A repository that `upscale export` wrote; default: the demo model's."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The diffusers folder that it was exported from, to compare with."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda:0 or another GPU; auto: as the server takes it.")
    ] = "auto",
    table: Annotated[
        bool, typer.Option(help="At the end benchmarks.gpu's table, in ten minutes at most.")
    ] = True,
) -> None:
    """Look at everything that serving needs: what is wrong, and what to do.

    Ends with 1 where something is wrong; what could not be looked at is said and is no error.
    """
    states = []
    for finding in findings(repository, model, device, table=table):
        show(finding)
        states.append(finding.state.value)
    bad, left = states.count("wrong"), states.count("not checked")
    Console(highlight=False).print(
        f"\n{states.count('good')} good, {bad} wrong, {left} not checked"
    )
    raise typer.Exit(1 if bad else 0)


def findings(
    repository: Path | None, model: Path | None, asked: str, *, table: bool
) -> Iterator["Finding"]:
    """Each as soon as it is known."""
    from export.quiet import quiet_libraries

    quiet_libraries()  # before the imports below, which bring warnings of their own

    from doctor.device import choose_device
    from doctor.driver import look_at_container, look_at_driver
    from doctor.engines import look_at_engines
    from doctor.graphs import look_at_graphs
    from doctor.libraries import look_at_libraries
    from doctor.memory import look_at_memory
    from doctor.picture import look_at_picture
    from doctor.speed import look_at_speed

    device, found = choose_device(asked)
    yield found
    yield from look_at_driver(device)
    yield look_at_container()
    yield from look_at_libraries(device)
    if found.state == "wrong":  # nothing can be run there
        return
    yield look_at_graphs(device)
    served, compared = repository or demo_repository(), model
    if repository is None:
        compared = model or ROOT / "demo" / "model"
    refuse_changed(served)
    yield from look_at_engines(served, device)
    yield look_at_memory(served, device)
    yield look_at_picture(served, compared, device)
    if table:
        yield look_at_speed(repository, model, device)


def demo_repository() -> Path:
    """That of `upscale serve`, exported where it is not there yet."""
    try:
        from embedded.default_repository import default_repository
        from gateway.serve import ServeError
    except ImportError:
        raise typer.BadParameter("name a --repository; the demo model is not here.") from None
    try:
        return asyncio.run(default_repository(console.print))
    except ServeError as error:
        fail(error)


def refuse_changed(repository: Path) -> None:
    """End where the folder is no repository, or not as it was exported."""
    from export.errors import ExportError
    from export.manifest import changed_file

    if why := changed_file(repository):
        fail(ExportError(why))


def show(finding: "Finding") -> None:
    """A line or several, in columns as wide as those of the others."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=STATE_WIDTH)
    row.add_column(width=SUBJECT_WIDTH)
    row.add_column(ratio=1)
    state = finding.state.value
    row.add_row(Text(state, STYLES[state]), Text(finding.subject), Text(finding.sentence))
    Console(highlight=False).print(row)
