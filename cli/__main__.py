"""The command `upscale`. Its commands import what they need, so that none pays for another.

`serve` and `bench` are offered where their packages are: the images of the gateway and of the
export have neither.
"""

from pathlib import Path

import typer

from cli import bench, livepeer
from cli.download import download
from cli.export import export
from cli.gateway import gateway
from cli.image import image
from cli.serve import serve

ROOT = Path(__file__).parents[1]

app = typer.Typer(
    help="Upscale images four times with a diffusion model behind Triton.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
for command in (export, download, gateway, image):
    app.command()(command)
app.add_typer(livepeer.app, name="livepeer")
if (ROOT / "embedded").is_dir():
    app.command()(serve)
if (ROOT / "benchmarks").is_dir():
    app.add_typer(bench.app, name="bench")

if __name__ == "__main__":
    app()
