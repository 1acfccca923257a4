"""The command `upscale`. Subcommands import what they need, so that none pays for another."""

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from benchmarks.command import app as bench
from client.output_format import OutputFormat

app = typer.Typer(
    help="Upscale images four times with a diffusion model behind Triton.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.add_typer(bench, name="bench")
console = Console(stderr=True, soft_wrap=True, highlight=False)


@app.command()
def export(
    model: Annotated[str, typer.Option(help="Hugging Face id or diffusers folder.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the repository; must not exist.")
    ] = None,
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
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="onnx, aoti or tensorrt: for all networks, or for one as unet=aoti; repeat it."
            " Default: onnx."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, fp16 or bf16: for all networks that can, or for one as unet=bf16; repeat"
            " it. Default: fp32; with a GPU fp16 for unet and text_encoder."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: build, verify and time every engine that this machine can have,"
            " and print a table.",
        ),
    ] = False,
) -> None:
    """Turn a diffusers checkpoint into a Triton model repository."""
    if check == (output is not None):
        raise typer.BadParameter("name --output, or --check, which writes nothing.")
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn  # noqa: PLC0415

    from export.quiet import quiet_libraries  # noqa: PLC0415

    quiet_libraries()  # before the imports below, which bring warnings of their own

    from export.check import check_engines  # noqa: PLC0415
    from export.checkpoint import load_checkpoint  # noqa: PLC0415
    from export.engine_choice import choose, has_gpu  # noqa: PLC0415
    from export.errors import ExportError  # noqa: PLC0415
    from export.networks import networks_of  # noqa: PLC0415
    from export.repository import export_repository  # noqa: PLC0415

    columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            checkpoint = load_checkpoint(model, revision, safety_checker, model_id)
            choices = choose(networks_of(checkpoint), engine or [], precision or [], has_gpu())
            if output is None:
                table = check_engines(checkpoint, progress)
            else:
                command = shlex.join(["upscale", *sys.argv[1:]])
                export_repository(checkpoint, output, progress, choices, command)
    except ExportError as error:
        fail(error)
    if output is None:
        Console().print(table)
        return
    console.print(f"Wrote {output}; serve it with: upscale serve --repository {output}")


@app.command()
def download(
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix; keys are in AWS_* variables.")],
    output: Annotated[Path, typer.Option(help="Folder for the repository; kept if it is there.")],
) -> None:
    """Copy a repository that `upscale export` wrote from an object store, and check its sums."""
    from export.download import download_repository  # noqa: PLC0415
    from export.errors import ExportError  # noqa: PLC0415

    try:
        is_new = download_repository(url, output)
    except ExportError as error:
        fail(error)
    console.print(f"Wrote {output}." if is_new else f"{output} is there already.")


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
    from embedded.serve import serve as run  # noqa: PLC0415
    from embedded.triton import TritonError  # noqa: PLC0415
    from gateway.log import configure_log  # noqa: PLC0415
    from gateway.server import ServeError  # noqa: PLC0415
    from gateway.settings import ConfigurationError, Settings  # noqa: PLC0415

    configure_log()
    try:
        settings = Settings.from_environment(**({} if port is None else {"port": port}))
        folder = repository or default_repository(console.print)
        console.print("Starting Triton and the gateway.")
        asyncio.run(run(folder, settings, console.print, triton_grpc_port))
    except (ConfigurationError, ServeError, TritonError) as error:
        fail(error)


@app.command()
def gateway(
    port: Annotated[int | None, typer.Option(help="Port of the gateway; default: PORT.")] = None,
) -> None:
    """Start the gateway alone, before the Triton at TRITON_URL; Ctrl-C stops it."""
    from gateway.log import configure_log  # noqa: PLC0415
    from gateway.server import ServeError  # noqa: PLC0415
    from gateway.server import serve as run  # noqa: PLC0415
    from gateway.settings import ConfigurationError, Settings  # noqa: PLC0415

    configure_log()
    try:
        settings = Settings.from_environment(**({} if port is None else {"port": port}))
        asyncio.run(run(settings, console.print))
    except (ConfigurationError, ServeError) as error:
        fail(error)


@app.command()
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
        float, typer.Option(min=0.1, help="Longest time for one attempt at an image, seconds.")
    ] = 300.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make again what exists; default: skip it.")
    ] = False,
) -> None:
    """Upscale images and folders of images through a running server.

    What exists is skipped, so an interrupted run goes on where it was. Ends with 0 when all is
    done, 1 when an image failed or the server cannot be used, 2 for wrong usage, 130 after Ctrl-C.
    """
    from client.display import Display  # noqa: PLC0415
    from client.errors import ServerUnusable, UsageError  # noqa: PLC0415
    from client.form import Form  # noqa: PLC0415
    from client.jobs import Job, make_folders, plan  # noqa: PLC0415
    from client.report import Report  # noqa: PLC0415
    from client.run import Runner  # noqa: PLC0415
    from client.server import Server  # noqa: PLC0415

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


def tell(error: Exception) -> None:
    """Say why something went wrong, without a traceback."""
    console.print("[red]Error:[/red]", end=" ")
    console.print(str(error), markup=False)


def fail(error: Exception, status: int = 1) -> NoReturn:
    """Say why, without a traceback, and end with a status."""
    tell(error)
    raise typer.Exit(status)


if __name__ == "__main__":
    app()
