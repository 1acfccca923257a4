"""`upscale download`: an exported repository from an object store."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import byte_bars, console, fail


def download(
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix; keys are in AWS_* variables.")],
    output: Annotated[Path, typer.Option(help="Folder for the repository; kept if it is there.")],
) -> None:
    """Copy a repository that `upscale export` wrote from an object store, and check its sums."""
    from export.download import download_repository
    from export.errors import ExportError

    try:
        with byte_bars() as progress:
            is_new = download_repository(url, output, progress)
    except ExportError as error:
        fail(error)
    console.print(f"Wrote {output}." if is_new else f"{output} is there already.")
