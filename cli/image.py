"""`upscale image`: files and folders of images through a running server."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.console import console, fail, tell
from client.files import OutputFormat

if TYPE_CHECKING:
    from client.api import Form
    from client.server import Server

Source = Annotated[
    list[Path],
    typer.Argument(help="Images, folders to search for them, or - for standard input."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="A file for one image, or - for standard output; else a folder. Default for one image:"
        " NAME-upscaled.png beside it.",
    ),
]
Format = Annotated[
    OutputFormat,
    typer.Option("--format", help="Format of the results, where --output names no file."),
]
Prompt = Annotated[str, typer.Option(help="What the image shows.")]
NegativePrompt = Annotated[
    str | None, typer.Option(help="What the image should not show; needs guidance.")
]
Seed = Annotated[
    int | None, typer.Option(help="The same seed gives the same picture; default: random.")
]
Steps = Annotated[
    int | None, typer.Option("--num-inference-steps", "--steps", help="Denoising steps.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="What steps to the picture, like DPMSolverMultistep; default: the model's."),
]
StepCache = Annotated[
    int | None,
    typer.Option(
        help="Steps from one call of the whole UNet to the next; 1 is off. Default: the server's."
    ),
]
GuidanceScale = Annotated[float | None, typer.Option(help="How strongly the prompt guides.")]
NoiseLevel = Annotated[int | None, typer.Option(help="Noise added to the input.")]
SafetyCheck = Annotated[
    bool | None, typer.Option(help="Have the result looked at by the safety checker.")
]
ColorFix = Annotated[
    str | None,
    typer.Option(help="none, or wavelet: the colours of the image for the result."),
]
ModelId = Annotated[str | None, typer.Option(help="The model that the server must serve.")]
Scale = Annotated[
    float | None,
    typer.Option(min=1, max=4, help="Sides of the result by those of the image; default: 4."),
]
Width = Annotated[int | None, typer.Option(min=1, help="Largest width of the result, pixels.")]
Height = Annotated[int | None, typer.Option(min=1, help="Largest height of the result, pixels.")]
Background = Annotated[
    str | None,
    typer.Option(help="Colour behind what is transparent, as #ffffff; default: stays transparent."),
]
Fit = Annotated[
    bool, typer.Option("--fit", help="Have images that are too large reduced to what is taken.")
]
Url = Annotated[str, typer.Option(envvar="UPSCALE_URL", help="The server.")]
Token = Annotated[
    str | None, typer.Option(envvar="UPSCALE_TOKEN", help="Bearer token of the server.")
]
Concurrency = Annotated[int, typer.Option(min=1, help="Images in flight at a time.")]
Retries = Annotated[
    int, typer.Option(min=0, help="How often a busy server is asked again for an image.")
]
Timeout = Annotated[
    float,
    typer.Option(
        min=0.1,
        help="Longest time for one attempt at an image, and between two while the server is busy,"
        " seconds.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Make again what exists; default: skip it.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="A line of JSON for each image on standard output: input, output, seed, nsfw, seconds;"
        " or input, output, error.",
    ),
]


def image(
    source: Source,
    output: Output = None,
    output_format: Format = OutputFormat.PNG,
    prompt: Prompt = "a photo",
    negative_prompt: NegativePrompt = None,
    seed: Seed = None,
    steps: Steps = None,
    scheduler: Scheduler = None,
    step_cache: StepCache = None,
    guidance_scale: GuidanceScale = None,
    noise_level: NoiseLevel = None,
    safety_check: SafetyCheck = None,
    color_fix: ColorFix = None,
    scale: Scale = None,
    width: Width = None,
    height: Height = None,
    background: Background = None,
    fit: Fit = False,
    model_id: ModelId = None,
    url: Url = "http://127.0.0.1:8000",
    token: Token = None,
    concurrency: Concurrency = 4,
    retries: Retries = 5,
    timeout: Timeout = 300.0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Upscale images and folders of images through a running server.

    What exists is skipped, so an interrupted run goes on where it was. Ends with 0 when all is
    done, 1 when an image failed or the server cannot be used, 2 for wrong usage, 130 after Ctrl-C.
    """
    from client.api import Form
    from client.server import Server

    form = Form(
        prompt, negative_prompt, seed, steps, guidance_scale, noise_level, safety_check, model_id
    )
    form = replace(form, color_fix=color_fix, scheduler=scheduler, scale=scale, width=width)
    form = replace(form, height=height, background=background, fit=fit or None)
    form = replace(form, step_cache=step_cache)
    _upscale(
        source,
        output,
        replace(form, output_format=output_format),
        partial(Server, url, token, timeout),
        concurrency=concurrency,
        retries=retries,
        overwrite=overwrite,
        is_quiet=quiet,
        is_json=as_json,
    )


def _upscale(
    sources: Sequence[Path],
    output: Path | None,
    form: "Form",
    server_of: Callable[[], "Server"],
    *,
    concurrency: int,
    retries: int,
    overwrite: bool,
    is_quiet: bool,
    is_json: bool,
) -> NoReturn:
    """Do it all, and end with the status."""
    from client.display import Display
    from client.errors import UsageError
    from client.files import STANDARD, Job, make_folders, plan
    from client.forecast import forecast
    from client.run import Report, Runner

    report = Report(is_json=is_json)
    jobs: list[Job] = []
    is_told = not (is_quiet or is_json)

    async def upscale() -> None:
        async with server_of() as server:
            if is_told and (told := await forecast(server, form, jobs, overwrite)):
                console.print(told, markup=False)
            with Display(console, len(jobs), is_quiet) as display:
                runner = Runner(server, form, display, concurrency, retries, overwrite)
                await runner.run(jobs, report)

    def run() -> None:
        jobs.extend(plan(sources, output, form.output_format))
        if is_json and jobs[0].output == STANDARD:
            raise UsageError("--json and a picture cannot both go to standard output.")
        make_folders(jobs)
        asyncio.run(upscale())

    status = _status_of(run)
    if jobs and is_told:
        console.print(report.summary(len(jobs)), markup=False)
    raise typer.Exit(status or int(bool(report.failed)))


def _status_of(run: Callable[[], None]) -> int:
    """0, or the exit status of what ended the run early, which is told. Ends for wrong usage."""
    from client.errors import ServerUnusable, UsageError

    try:
        run()
    except UsageError as error:
        fail(error, status=2)
    except ServerUnusable as error:
        tell(error)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return 130
    return 0
