"""Files on this machine: which image becomes which file, in which format, written whole."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from client.errors import UsageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class OutputFormat(StrEnum):
    """The API's `output_format`."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def suffix(self) -> str:
        """What a file of this format is named like, where nobody chose its name."""
        return ".jpg" if self is OutputFormat.JPEG else f".{self}"

    def begins(self, content: bytes) -> bool:
        """Whether content begins as a file of this format does."""
        match self:
            case OutputFormat.PNG:
                return content.startswith(b"\x89PNG\r\n\x1a\n")
            case OutputFormat.JPEG:
                return content.startswith(b"\xff\xd8\xff")
            case OutputFormat.WEBP:
                return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


FORMAT_OF_SUFFIX = {
    ".png": OutputFormat.PNG,
    ".jpg": OutputFormat.JPEG,
    ".jpeg": OutputFormat.JPEG,
    ".webp": OutputFormat.WEBP,
}


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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, replacing what is there, so that nobody ever sees a part of it.

    The bytes go to a hidden file beside it, which is then renamed. Raises OSError, and then path
    is as it was.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:  # not tempfile's, which would be the owner's alone
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
