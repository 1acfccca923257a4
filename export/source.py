"""Where a checkpoint's files are: a folder, or the hub, from which only what is needed comes."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from safetensors import SafetensorError, safe_open

from export import hub
from export.errors import ExportError

# The cache of huggingface_hub: models--stabilityai--stable-diffusion-x4-upscaler/snapshots/COMMIT.
SNAPSHOT = re.compile(r"models--(?P<id>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})$")
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """The files of one model.

    name: as it was given. folder: where they are, or will be. revision: the hub's commit, None for
    a folder of no commit. sizes: bytes by path, of all there are. is_remote: whether they can come
    from the hub.
    """

    name: str
    folder: Path
    revision: str | None
    sizes: Mapping[str, int]
    is_remote: bool = False

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the files that have yet to come."""
        return [name for name in names if self.is_remote and not (self.folder / name).exists()]

    def parameters(self, name: str) -> int:
        """How many numbers a safetensors file holds, by its head. Raises ExportError."""
        if self.missing([name]):
            assert self.revision is not None
            return hub.parameters(self.name, self.revision, name)
        path = self.folder / name
        try:
            with safe_open(path, "numpy") as file:
                return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ExportError(f"{path} is broken: {error}. Download it again.") from error

    def fetch(self, names: Iterable[str], count: hub.Count) -> None:
        """Bring what is missing; count gets the bytes. Raises ExportError."""
        for name in self.missing(names):
            assert self.revision is not None
            hub.fetch(self.name, self.revision, name, count)


def find(name: str, revision: str | None, small: Sequence[str]) -> Source:
    """A folder, or a repository of the hub by its id.

    small: patterns of the hub's files that are brought at once. Raises ExportError.
    """
    path = Path(name)
    if path.is_file():
        raise ExportError(one_file(path))
    if not path.is_dir():
        folder, sizes = hub.look_up(name, revision, small)
        return Source(name, folder, folder.name, sizes, is_remote=not constants.HF_HUB_OFFLINE)
    if revision is not None:
        raise ExportError(f"--revision {revision} is for Hugging Face ids; {name} is a folder.")
    return Source(name, path, commit_of(path), hub.sizes_in(path))


def commit_of(folder: Path) -> str | None:
    """The commit of a snapshot in the hub's cache, by its path."""
    snapshot = SNAPSHOT.search(str(folder.resolve()))
    return snapshot["commit"] if snapshot else None


def model_id_of(source: Source) -> str:
    """The hub's id, of a snapshot in its cache too, else the folder's name.

    Raises ExportError for a name that tells nobody anything.
    """
    if not Path(source.name).is_dir():
        return source.name
    path = source.folder.resolve()
    if snapshot := SNAPSHOT.search(str(path)):
        return snapshot["id"].replace("--", "/")
    if HASH.fullmatch(path.name):
        raise ExportError(
            f"{path} is named after a hash, which would be the model's id for all who use it; name"
            " one with --model-id."
        )
    return path.name


def one_file(path: Path) -> str:
    """What to do with a checkpoint that is one file."""
    if path.suffix != ".safetensors":
        return (
            f"{path} is a file of a format that runs code when it is read. Name a diffusers folder"
            " or a Hugging Face id."
        )
    return (
        f"{path} is a single file, without the tokenizer and the configurations that belong to it."
        " Make a diffusers folder of it and name that:\n"
        '  python -c "import diffusers; diffusers.StableDiffusionUpscalePipeline.from_single_file('
        f"'{path}').save_pretrained('{path.stem}')\""
    )
