"""`upscale export`: a diffusers checkpoint to a Triton model repository."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.console import byte_bars, console, count_bars, fail
from stages.admission import MEGABYTE
from stages.schedulers import NAMES
from stages.tiles import MAX_TILE

if TYPE_CHECKING:
    from export.checkpoint import Checkpoint

Model = Annotated[str, typer.Option(help="Hugging Face id or diffusers folder.")]
Output = Annotated[Path | None, typer.Option(help="Folder for the repository; must not exist.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch of a Hugging Face id.")]
SafetyChecker = Annotated[
    str | None,
    typer.Option(
        help="Hugging Face id, id@revision or folder, or 'none'."
        " Default: the model's own, else that of CompVis/stable-diffusion-v1-4."
    ),
]
Variant = Annotated[
    str | None, typer.Option(help="Of the files, like fp16; what has none is read as it is.")
]
ModelId = Annotated[
    str | None,
    typer.Option(help="The id to serve it under; default: the model's, or the folder's name."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help=f"The default of requests: {', '.join(NAMES)}, or a scheduler_config.json. Default:"
        " the model's own."
    ),
]
StepCache = Annotated[
    int | None,
    typer.Option(
        help="Write a second UNet graph, so that requests may take a step_cache: its depth,"
        " DeepCache's cache_branch_id. 0 saves most. Default: none."
    ),
]
Engines = Annotated[
    list[str] | None,
    typer.Option(
        help="onnx, aoti or tensorrt: for all networks, or for one as unet=aoti; repeat it."
        " Default: onnx."
    ),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        help="fp32, fp16 or bf16: for all networks that can, or for one as unet=bf16; repeat"
        " it. Default: fp32; with a GPU fp16 for unet and text_encoder."
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Write nothing: build, verify and time every engine that this machine can have,"
        " and print a table.",
    ),
]


def export(
    model: Model,
    output: Output = None,
    revision: Revision = None,
    safety_checker: SafetyChecker = None,
    variant: Variant = None,
    model_id: ModelId = None,
    scheduler: Scheduler = None,
    step_cache: StepCache = None,
    engine: Engines = None,
    precision: Precisions = None,
    check: Check = False,
) -> None:
    """Turn a diffusers checkpoint into a Triton model repository."""
    refuse_output(output, check)
    from export.building import ending_by_exception
    from export.errors import ExportError
    from export.quiet import quiet_libraries

    quiet_libraries()  # before the imports below, which bring warnings of their own

    from export.check import check_engines
    from export.checkpoint import find_checkpoint
    from export.disk import refuse_too_little_room
    from export.engine_choice import choose_engines, has_gpu, warning
    from export.networks import networks_of
    from export.repository import export_repository
    from export.size import needs

    try:
        with ending_by_exception():
            # All that can be refused is refused before the first of gigabytes.
            checkpoint = find_checkpoint(
                model, revision, safety_checker, model_id, variant, scheduler, step_cache
            )
            choices = choose_engines(
                networks_of(checkpoint), engine or [], precision or [], has_gpu()
            )
            told = (*scheduler_lines(checkpoint), warning(choices, has_gpu()))
            for line in filter(None, (*told, step_cache_line(checkpoint))):
                console.print(line, markup=False)
            if output is not None:
                refuse_too_little_room(needs(checkpoint, output, choices))
            download_weights(checkpoint)
            if output is None:
                with count_bars() as progress:
                    table = check_engines(checkpoint, progress)
            else:
                command = shlex.join(["upscale", *sys.argv[1:]])
                with byte_bars() as progress:
                    export_repository(checkpoint, output, progress, choices, command)
    except ExportError as error:
        fail(error)
    if output is None:
        Console().print(table)
        return
    console.print(
        f"Wrote {output}, the model {checkpoint.model_id} (--model-id names it otherwise); serve it"
        f" with: upscale serve --repository {output}"
    )


def refuse_output(output: Path | None, check: bool) -> None:
    """End where the folder is there already, or for none: before the seconds of the imports."""
    if check == (output is not None):
        raise typer.BadParameter("name --output, or --check, which writes nothing.")
    if output is None:
        return
    from export.building import refuse_existing
    from export.errors import ExportError

    try:
        refuse_existing(output)
    except ExportError as error:
        fail(error)


def scheduler_lines(checkpoint: "Checkpoint") -> Iterator[str]:
    """Which schedulers a request may name, and why not others."""
    own, *others = (scheduler.name for scheduler in checkpoint.schedulers)
    yield f"Schedulers: {own}, the default, {', '.join(others)}."
    for name, why in checkpoint.left_out.items():
        yield f"Without {name}: {why}."


def step_cache_line(checkpoint: "Checkpoint") -> str | None:
    """What it saves and takes."""
    if (cache := checkpoint.step_cache) is None:
        return None
    megabytes = 2 * cache.feature_bytes(MAX_TILE, MAX_TILE) / MEGABYTE
    return (
        f"Step cache: a call between two full ones takes {100 * cache.cost:.1f} % of their"
        f" operations. MEMORY_BUDGET_MB has to hold {megabytes:.0f} MB more for each of denoise's"
        f" places (max_active), where tiles are at most {MAX_TILE} x {MAX_TILE}."
    )


def download_weights(checkpoint: "Checkpoint") -> None:
    """Bring what is still at the hub, with a bar. Raises ExportError."""
    from rich.filesize import decimal

    from export.checkpoint import fetch_weights
    from export.size import missing

    if size := missing(checkpoint):
        console.print(f"Downloading {decimal(size)} of {checkpoint.model_id}.")
        with byte_bars() as progress:
            task = progress.add_task("download", total=size)
            fetch_weights(checkpoint, lambda n: progress.advance(task, n))
