"""`upscale gateway`: the gateway before Tritons that run elsewhere."""

import asyncio
from typing import Annotated

import typer

from cli.console import console, fail


def gateway(
    port: Annotated[int | None, typer.Option(help="Port of the gateway; default: PORT.")] = None,
) -> None:
    """Start the gateway alone; Ctrl-C stops it."""
    from gateway.serve import ServeError
    from gateway.serve import serve as run
    from gateway.settings import ConfigurationError, Settings
    from gateway.telemetry.log import configure_log

    configure_log()
    try:
        settings = Settings.from_environment(**({} if port is None else {"port": port}))
        asyncio.run(run(settings, console.print))
    except (ConfigurationError, ServeError) as error:
        fail(error)
