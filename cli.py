"""The command `upscale`. Subcommands import what they need, so that none pays for another."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Upscale images four times with a diffusion model behind Triton.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
console = Console(stderr=True, soft_wrap=True, highlight=False)


@app.command()
def export(
    model: Annotated[str, typer.Option(help="Hugging Face id or diffusers folder.")],
    output: Annotated[Path, typer.Option(help="Folder for the repository; must not exist.")],
    revision: Annotated[
        str | None, typer.Option(help="Commit, tag or branch of a Hugging Face id.")
    ] = None,
    safety_checker: Annotated[
        str | None,
        typer.Option(
            help="Hugging Face id or folder, or 'none'."
            " Default: the model's own, else CompVis/stable-diffusion-safety-checker."
        ),
    ] = None,
    model_id: Annotated[
        str | None, typer.Option(help="The id to serve it under; default: the model's name.")
    ] = None,
) -> None:
    """Turn a diffusers checkpoint into a Triton model repository."""
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn  # noqa: PLC0415

    from export.quiet import quiet_libraries  # noqa: PLC0415

    quiet_libraries()  # before the imports below, which bring warnings of their own

    from export.checkpoint import load_checkpoint  # noqa: PLC0415
    from export.errors import ExportError  # noqa: PLC0415
    from export.repository import export_repository  # noqa: PLC0415

    columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            checkpoint = load_checkpoint(model, revision, safety_checker, model_id)
            export_repository(checkpoint, output, progress)
    except ExportError as error:
        fail(error)
    console.print(f"Wrote {output}; serve it with: upscale serve --repository {output}")


@app.command()
def serve(
    repository: Annotated[
        Path | None,
        typer.Option(help="A repository that `upscale export` wrote; default: a small one."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; default: PORT.")] = None,
    triton_grpc_port: Annotated[int, typer.Option(help="Triton's; 0 picks a free one.")] = 0,
) -> None:
    """Start Triton from its wheel and the gateway before it; Ctrl-C stops both."""
    from embedded.default_repository import default_repository  # noqa: PLC0415
    from embedded.serve import ServeError  # noqa: PLC0415
    from embedded.serve import serve as run  # noqa: PLC0415
    from embedded.triton import TritonError  # noqa: PLC0415
    from gateway.settings import ConfigurationError, Settings  # noqa: PLC0415

    try:
        settings = Settings.from_environment(**({} if port is None else {"port": port}))
        folder = repository or default_repository(console.print)
        console.print("Starting Triton and the gateway.")
        asyncio.run(run(folder, settings, console.print, triton_grpc_port))
    except (ConfigurationError, ServeError, TritonError) as error:
        fail(error)


def fail(error: Exception) -> None:
    """Say why, without a traceback, and end with status 1."""
    console.print("[red]Error:[/red]", end=" ")
    console.print(str(error), markup=False)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
