"""`upscale export`: a diffusers checkpoint to a Triton model repository."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.console import console, fail

Model = Annotated[str, typer.Option(help="Hugging Face id or diffusers folder.")]
Output = Annotated[Path | None, typer.Option(help="Folder for the repository; must not exist.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch of a Hugging Face id.")]
SafetyChecker = Annotated[
    str | None,
    typer.Option(
        help="Hugging Face id or folder, or 'none'."
        " Default: the model's own, else CompVis/stable-diffusion-safety-checker."
    ),
]
ModelId = Annotated[
    str | None, typer.Option(help="The id to serve it under; default: the model's name.")
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
    model_id: ModelId = None,
    engine: Engines = None,
    precision: Precisions = None,
    check: Check = False,
) -> None:
    """Turn a diffusers checkpoint into a Triton model repository."""
    if check == (output is not None):
        raise typer.BadParameter("name --output, or --check, which writes nothing.")
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    from export.quiet import quiet_libraries

    quiet_libraries()  # before the imports below, which bring warnings of their own

    from export.check import check_engines
    from export.checkpoint import load_checkpoint
    from export.engine_choice import choose_engines, has_gpu
    from export.errors import ExportError
    from export.networks import networks_of
    from export.repository import export_repository

    columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            checkpoint = load_checkpoint(model, revision, safety_checker, model_id)
            choices = choose_engines(
                networks_of(checkpoint), engine or [], precision or [], has_gpu()
            )
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
