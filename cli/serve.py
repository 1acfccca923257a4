"""`upscale serve`: Triton and the gateway on this machine."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail


def serve(
    repository: Annotated[
        Path | None,
        typer.Option(help="A repository that `upscale export` wrote; default: a small one."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; default: PORT.")] = None,
    triton_grpc_port: Annotated[int, typer.Option(help="Triton's; 0 picks a free one.")] = 0,
) -> None:
    """Start Triton and the gateway here; Ctrl-C stops both."""
    from embedded.errors import TritonError
    from embedded.serve import serve as run
    from gateway.serve import ServeError
    from gateway.settings import ConfigurationError, Settings
    from gateway.telemetry.log import configure_log

    configure_log()
    try:
        settings = Settings.from_environment(**({} if port is None else {"port": port}))
        console.print("Starting Triton and the gateway.")
        asyncio.run(run(repository, settings, console.print, triton_grpc_port))
    except (ConfigurationError, ServeError, TritonError) as error:
        fail(error)
