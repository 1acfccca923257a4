"""The command `upscale`. Its commands import what they need, so that none pays for another."""

import typer

from cli import bench
from cli.download import download
from cli.export import export
from cli.gateway import gateway
from cli.image import image
from cli.serve import serve

app = typer.Typer(
    help="Upscale images four times with a diffusion model behind Triton.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
for command in (export, download, serve, gateway, image):
    app.command()(command)
app.add_typer(bench.app, name="bench")

if __name__ == "__main__":
    app()
