"""`upscale image`: files and folders of images through a running server."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail, tell
from client.files import OutputFormat


def image(
    source: Annotated[list[Path], typer.Argument(help="Images, or folders to search for them.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file for one image, else a folder. Default for one image:"
            " NAME-upscaled.png beside it.",
        ),
    ] = None,
    output_format: Annotated[
        OutputFormat,
        typer.Option("--format", help="Format of the results, where --output names no file."),
    ] = OutputFormat.PNG,
    prompt: Annotated[str, typer.Option(help="What the image shows.")] = "a photo",
    negative_prompt: Annotated[
        str | None, typer.Option(help="What the image should not show; needs guidance.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same picture; default: random.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--num-inference-steps", "--steps", help="Denoising steps."),
    ] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="How strongly the prompt guides.")
    ] = None,
    noise_level: Annotated[int | None, typer.Option(help="Noise added to the input.")] = None,
    safety_check: Annotated[
        bool | None, typer.Option(help="Have the result looked at by the safety checker.")
    ] = None,
    model_id: Annotated[
        str | None, typer.Option(help="The model that the server must serve.")
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="UPSCALE_URL", help="The server.")
    ] = "http://127.0.0.1:8000",
    token: Annotated[
        str | None, typer.Option(envvar="UPSCALE_TOKEN", help="Bearer token of the server.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Images in flight at a time.")] = 4,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a busy server is asked again for an image.")
    ] = 5,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Longest time for one attempt at an image, and between two while the server is"
            " busy, seconds.",
        ),
    ] = 300.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make again what exists; default: skip it.")
    ] = False,
) -> None:
    """Upscale images and folders of images through a running server.

    What exists is skipped, so an interrupted run goes on where it was. Ends with 0 when all is
    done, 1 when an image failed or the server cannot be used, 2 for wrong usage, 130 after Ctrl-C.
    """
    from client.api import Form
    from client.display import Display
    from client.errors import ServerUnusable, UsageError
    from client.files import Job, make_folders, plan
    from client.run import Report, Runner
    from client.server import Server

    form = Form(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        noise_level=noise_level,
        safety_check=safety_check,
        model_id=model_id,
    )
    report = Report()

    async def run() -> None:
        async with Server(url, token, timeout) as server:
            with Display(console, len(jobs)) as display:
                runner = Runner(server, form, display, concurrency, retries, overwrite)
                await runner.run(jobs, report)

    jobs: list[Job] = []
    status = 0
    try:
        jobs = plan(source, output, output_format)
        make_folders(jobs)
        asyncio.run(run())
    except UsageError as error:
        fail(error, status=2)
    except ServerUnusable as error:
        tell(error)
        status = 1
    except KeyboardInterrupt:
        console.print("Interrupted.")
        status = 130
    if jobs:
        console.print(report.summary(len(jobs)), markup=False)
    raise typer.Exit(status or int(bool(report.failed)))
