"""The command `upscale`. Its commands import what they need, so that none pays for another.

`serve`, `bench` and `doctor` are offered where their packages are: the gateway's image has none of
them, that of the export the last.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from cli import bench, livepeer
from cli.doctor import doctor
from cli.download import download
from cli.export import export
from cli.gateway import gateway
from cli.image import image
from cli.serve import serve
from cli.settings_command import SettingsCommand

ROOT = Path(__file__).parents[1]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,  # its tables cut the names of options off at 80 columns
)


def say_version(is_asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if is_asked:
        print(version("upscale"))  # noqa: T201
        raise typer.Exit


@app.callback()
def read_dot_env(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Upscale images four times with a diffusion model behind Triton.

    Settings are variables of the environment; those that it lacks are read from the file .env of
    the working directory.
    """
    load_dotenv(Path(".env"), override=False)


for command in (export, download, image):
    app.command()(command)
app.command(cls=SettingsCommand)(gateway)
app.add_typer(livepeer.app, name="livepeer")
if (ROOT / "doctor").is_dir():
    app.command()(doctor)
if (ROOT / "embedded").is_dir():
    app.command(cls=SettingsCommand)(serve)
if (ROOT / "benchmarks").is_dir():
    app.add_typer(bench.app, name="bench")

if __name__ == "__main__":
    app()
