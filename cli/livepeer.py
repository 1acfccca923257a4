"""`upscale livepeer`: what a Livepeer orchestrator needs to know of a server."""

from typing import Annotated

import typer

from cli.console import console, fail

app = typer.Typer(help="Offer a server on Livepeer.", no_args_is_help=True)


@app.callback()
def livepeer() -> None:
    """Offer a server on Livepeer."""


@app.command()
def runner(
    price: Annotated[float, typer.Option(help="Of a unit, in US dollars.")],
    unit: Annotated[
        str, typer.Option(help="What is paid: 'fixed', a picture, or 'hour' or '720p'.")
    ] = "fixed",
    url: Annotated[
        str, typer.Option(envvar="UPSCALE_URL", help="The server, as this machine reaches it.")
    ] = "http://127.0.0.1:8000",
    runner_url: Annotated[
        str | None,
        typer.Option(help="The server, as the orchestrator reaches it; default: --url."),
    ] = None,
    label: Annotated[str, typer.Option(help="The runner's name on this orchestrator.")] = "upscale",
    capacity: Annotated[
        int | None,
        typer.Option(help="Sessions at a time; default: the server's MAX_IN_PROGRESS."),
    ] = None,
) -> None:
    """Print runners.json, go-livepeer's -liveRunnerConfig, for a server that runs."""
    from pydantic import ValidationError

    from client.description import ServerDescription
    from client.errors import ServerUnusable
    from gateway.livepeer import PriceInfo, Runners, gpu_of, runner_of

    try:
        price_info = PriceInfo.model_validate({"price": price, "unit": unit})
        server = ServerDescription(url)
        model = server.model()
        entry = runner_of(
            runner_url or url,
            label,
            model,
            server.version(),
            gpu_of(server.gpu_info()),
            server.max_pixels(model),
            capacity,
            price_info,
        )
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors())
        fail(ValueError(f"go-livepeer would refuse this: {' '.join(reasons)}"), status=2)
    except ValueError as error:
        fail(error, status=2)
    except ServerUnusable as error:
        fail(error)
    typer.echo(Runners(runners=[entry]).text())
    if not model.has_safety_checker:
        console.print(
            "The served model has no safety checker: requests that ask for the check are refused"
            " unless the server runs with SAFETY_CHECK=skip."
        )
