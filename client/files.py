"""Files on this machine: which image becomes which file, in which format, written whole."""

import hashlib
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from client.errors import UsageError

STANDARD = Path("-")  # standard input as a source, standard output as an output
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".png", ".apng", ".webp", ".avif", ".heic", ".heif"}
    | {".gif", ".bmp", ".dib", ".tif", ".tiff"}
)
# How files of those formats begin, and at which byte, for those whose name does not tell.
BEGINNINGS = (
    (b"\xff\xd8\xff", 0),
    (b"\x89PNG\r\n\x1a\n", 0),
    (b"WEBP", 8),
    (b"GIF8", 0),
    (b"BM", 0),
    (b"II*\0", 0),
    (b"MM\0*", 0),
    (b"ftypavif", 4),
    (b"ftyphei", 4),
    (b"ftypmif1", 4),
)


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
    """One image: the file it is in and the file it becomes, whose suffix is one of a format.

    standard_format: where the output is standard output, which has no suffix.
    """

    source: Path
    output: Path
    standard_format: OutputFormat = OutputFormat.PNG

    @property
    def name(self) -> str:
        return "standard input" if self.source == STANDARD else self.source.name

    @property
    def output_name(self) -> str:
        return "to standard output" if self.output == STANDARD else str(self.output)

    @property
    def output_format(self) -> OutputFormat:
        if self.output == STANDARD:
            return self.standard_format
        return FORMAT_OF_SUFFIX[self.output.suffix.lower()]

    @property
    def is_done(self) -> bool:
        """Whether its result is there already. Raises OSError for what no file system takes."""
        return self.output != STANDARD and self.output.exists()

    def read(self) -> bytes:
        """The image's content. Raises OSError."""
        return sys.stdin.buffer.read() if self.source == STANDARD else self.source.read_bytes()

    def write(self, content: bytes) -> None:
        """Write the result, whole. Raises OSError."""
        if self.output == STANDARD:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.output, content)


def plan(sources: Sequence[Path], output: Path | None, output_format: OutputFormat) -> list[Job]:
    """The jobs of a run, in the order of the sources; folders are searched, sorted by name.

    One file becomes output, a file whose suffix then decides the format or an existing folder;
    without output, NAME-upscaled.png beside it. Several files, or folders, become output/NAME.png
    with the paths below each folder kept. `-` is standard input and, as output, standard output.
    One of several files that does not exist is found out when it is read. Raises UsageError when
    nothing is found, when two images would become one file or an image would be replaced by its own
    result, and when output fits none of this.
    """
    for source in sources:
        if source.parts[:1] in (("http:",), ("https:",)) and not source.exists():
            address = str(source).replace(":/", "://", 1)
            raise UsageError(f"{address} is an address, and files are taken: save it as one first.")
    if len(sources) == 1 and not sources[0].is_dir():
        [source] = sources
        if source != STANDARD and not source.exists():
            raise UsageError(f"{source} does not exist.")
        job = _job_of_a_file(source, output, output_format)
        return [job] if STANDARD in (source, job.output) else _without_clashes([job])
    jobs = _jobs_of_several(sources, output, output_format)
    if not jobs:
        raise UsageError(f"No images in {', '.join(map(str, sources))}.")
    return _without_clashes(jobs)


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders that results go to. Raises UsageError when none can be written to.

    Where others can, those fail whose folder cannot, when they are written.
    """
    reasons = []
    folders = {job.output.parent: None for job in jobs if job.output != STANDARD}
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reasons.append(f"{folder} cannot be made: {error.strerror}.")
        else:
            if not os.access(folder, os.W_OK | os.X_OK):
                reasons.append(f"{folder} cannot be written to.")
    if reasons and len(reasons) == len(folders):
        raise UsageError(reasons[0])


def _jobs_of_several(
    sources: Sequence[Path], output: Path | None, output_format: OutputFormat
) -> list[Job]:
    if STANDARD in (*sources, output):
        raise UsageError("- is one image: name a single one, or a folder for --output.")
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
                folder = (output / path.relative_to(source)).parent
                jobs.append(Job(path, _named(folder, path.stem, output_format)))
        else:
            jobs.append(Job(source, _named(output, source.stem, output_format)))
    return jobs


def _job_of_a_file(source: Path, output: Path | None, output_format: OutputFormat) -> Job:
    if output == STANDARD or (output is None and source == STANDARD):
        if sys.stdout.isatty():
            raise UsageError("The picture would go to the terminal: name a file with --output.")
        return Job(source, STANDARD, output_format)
    if output is None:
        return Job(source, _named(source.parent, source.stem, output_format, "-upscaled"))
    if output.is_dir():
        stem = "upscaled" if source == STANDARD else source.stem
        return Job(source, _named(output, stem, output_format))
    if output.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise UsageError(
            f"{output} is no folder that exists; a file ends in {', '.join(FORMAT_OF_SUFFIX)}."
        )
    return Job(source, output)


def _named(folder: Path, stem: str, output_format: OutputFormat, ending: str = "") -> Path:
    """A result's path; a stem too long for the file system is cut, and stays one of a kind."""
    name = f"{stem}{ending}{output_format.suffix}"
    longest = os.pathconf(
        next(at for at in (folder, *folder.parents) if at.exists()), "PC_NAME_MAX"
    )
    if len(os.fsencode(name)) <= longest:
        return folder / name
    ending = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}{ending}{output_format.suffix}"
    kept = os.fsencode(stem)[: longest - len(ending)]
    return folder / f"{kept.decode(errors='ignore')}{ending}"


def _images(folder: Path, output: Path) -> list[Path]:
    """Images below a folder, without hidden ones and without an output folder inside it."""
    results = output.resolve()
    results_inside = results.is_relative_to(folder.resolve())
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (results_inside and path.resolve().is_relative_to(results))
        and path.is_file()
        and (path.suffix.lower() in SUFFIXES or _begins_as_an_image(path))
    )


def _begins_as_an_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            content = file.read(16)
    except OSError:
        return False
    return any(content.startswith(word, place) for word, place in BEGINNINGS)


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
