"""Which file is upscaled into which: SOURCE and OUTPUT of the command line as a list of jobs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.errors import UsageError
from client.output_format import FORMAT_OF_SUFFIX, OutputFormat

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Job:
    """One image: the file it is in and the file it becomes, whose suffix is one of a format."""

    source: Path
    output: Path

    @property
    def output_format(self) -> OutputFormat:
        return FORMAT_OF_SUFFIX[self.output.suffix.lower()]


def plan(sources: Sequence[Path], output: Path | None, output_format: OutputFormat) -> list[Job]:
    """The jobs of a run, in the order of the sources; folders are searched, sorted by name.

    One file becomes output, a file whose suffix then decides the format or an existing folder;
    without output, NAME-upscaled.png beside it. Several files, or folders, become output/NAME.png
    with the paths below each folder kept. Raises UsageError when nothing is found, when two images
    would become one file or an image would be replaced by its own result, and when output fits none
    of this.
    """
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source} does not exist.")
    if len(sources) == 1 and sources[0].is_file():
        return _without_clashes([_job_of_a_file(sources[0], output, output_format)])
    if output is None:
        raise UsageError("Several images need a folder to be written to: name it with --output.")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; several images need a folder.")
    jobs = []
    for source in sources:
        if source.is_dir():
            if output.resolve() == source.resolve():
                raise UsageError(f"{output} is the folder of the images; name another one.")
            for path in _images(source, output):
                result = output / path.relative_to(source)
                jobs.append(Job(path, result.with_suffix(output_format.suffix)))
        else:
            result = output / source.name
            jobs.append(Job(source, result.with_suffix(output_format.suffix)))
    if not jobs:
        raise UsageError(f"No images in {', '.join(map(str, sources))}.")
    return _without_clashes(jobs)


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders that results go to. Raises UsageError when one cannot be written to."""
    for folder in {job.output.parent: None for job in jobs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder} cannot be made: {error.strerror}.") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{folder} cannot be written to.")


def _job_of_a_file(source: Path, output: Path | None, output_format: OutputFormat) -> Job:
    if output is None:
        return Job(source, source.with_name(f"{source.stem}-upscaled{output_format.suffix}"))
    if output.is_dir():
        return Job(source, (output / source.name).with_suffix(output_format.suffix))
    if output.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise UsageError(
            f"{output} is no folder that exists; a file ends in {', '.join(FORMAT_OF_SUFFIX)}."
        )
    return Job(source, output)


def _images(folder: Path, output: Path) -> list[Path]:
    """Images below a folder, without hidden ones and without an output folder inside it."""
    results = output.resolve()
    results_inside = results.is_relative_to(folder.resolve())
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (results_inside and path.resolve().is_relative_to(results))
        and path.is_file()
    )


def _without_clashes(jobs: list[Job]) -> list[Job]:
    """The jobs, each once. Raises UsageError where results would meet, or meet a source."""
    job_of: dict[Path, Job] = {}
    for job in jobs:
        other = job_of.setdefault(job.output.resolve(), job)
        if other.source.resolve() != job.source.resolve():
            raise UsageError(f"{other.source} and {job.source} would both become {job.output}.")
    sources = {job.source.resolve() for job in job_of.values()}
    for output, job in job_of.items():
        if output in sources:
            raise UsageError(f"{job.output} is itself an image to upscale; name another output.")
    return list(job_of.values())
