"""A repository of the Hugging Face hub or of a mirror, and every way that it fails, in words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from export.errors import ExportError

Count = Callable[[int], None]  # of bytes that have arrived

UNAUTHORIZED, SERVER_ERROR = 401, 500
ANONYMOUS = (
    "{hub} gives {model} only to those who have a token, if there is such a model: look at the"
    " spelling, and set HF_TOKEN ({hub}/settings/tokens)."
)
OFFLINE = (
    "{model}{revision} is not whole in {cache}, and HF_HUB_OFFLINE is set: unset it once to"
    " download, or name a folder."
)
NO_HUB = (
    "{hub} does not answer as the Hugging Face hub does ({reason}). HF_ENDPOINT must be the base"
    " URL of the hub or of a mirror; a proxy may also answer in its place."
)
FAULT = (
    "{hub} has a fault of its own ({reason}). Repeat the command later, what has arrived is kept;"
    " HF_ENDPOINT names a mirror."
)
# By the library's errors, the first that fits.
SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (
        HFValidationError,
        "{model} is neither a folder here nor a Hugging Face id, which looks like"
        " stabilityai/stable-diffusion-x4-upscaler.",
    ),
    (
        GatedRepoError,
        "{model} is gated: ask for access at {hub}/{model}, then set HF_TOKEN to a token of that"
        " account ({hub}/settings/tokens). {token}",
    ),
    (
        RevisionNotFoundError,
        "{model} has nothing{revision}: --revision (--safety-checker ID@REVISION) takes a commit,"
        " tag or branch; {hub}/{model}/commits/main lists them.",
    ),
    (
        RepositoryNotFoundError,
        "There is no {model} at {hub}, or it is private: look at the spelling; for a private one"
        " set HF_TOKEN to a token that may read it. {token}",
    ),
    (DisabledRepoError, "{model} was disabled at {hub}; name another model, or a folder."),
    (
        RemoteEntryNotFoundError,
        "{hub} lists a file of {model}{revision} but does not have it ({reason}). Repeat the"
        " command; HF_ENDPOINT names a mirror.",
    ),
    (HfHubHTTPError, NO_HUB),
    (
        httpx2.HTTPError,
        "{hub} cannot be reached ({reason}). Look at the network and HTTPS_PROXY; HF_ENDPOINT names"
        " a mirror, HF_HUB_OFFLINE=1 uses what an earlier download left in the cache, and a folder"
        " can be named, too.",
    ),
    (FileMetadataError, NO_HUB),
    (OSError, "{model} cannot be kept in {cache}, below HF_HOME: {reason}"),
)
# By the status of an answer that says no more.
ANSWERED = {
    401: "{hub} refuses the token: it is wrong or has expired. Set HF_TOKEN to a new one"
    " ({hub}/settings/tokens), or unset it: open models need none. {token}",
    403: "{hub} does not let this token read {model}: give it that permission"
    " ({hub}/settings/tokens), or set HF_TOKEN to another one. {token}",
    429: "{hub} has had too many requests from here: wait some minutes and repeat the command, what"
    " has arrived is kept. With HF_TOKEN the limit is higher. {token}",
}


def look_up(model: str, revision: str | None, small: Sequence[str]) -> tuple[Path, dict[str, int]]:
    """The cache's folder of a snapshot, named after its commit, and the bytes of each of its files.

    small: patterns of the files that are brought at once; the others are not. With HF_HUB_OFFLINE=1
    it is what the cache has. Raises ExportError.
    """
    with in_words(model, revision):
        if constants.HF_HUB_OFFLINE:
            folder = Path(
                snapshot_download(
                    model, revision=revision, allow_patterns="config.json", local_files_only=True
                )
            )
            return folder, sizes_in(folder)
        info = HfApi(endpoint=constants.ENDPOINT).model_info(
            model, revision=revision, files_metadata=True
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        # Notes the name of the revision, too, so that it is known offline.
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=list(small)))
        return folder, sizes


def sizes_in(folder: Path) -> dict[str, int]:
    """Bytes by path, of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def parameters(model: str, commit: str, name: str) -> int:
    """How many numbers a safetensors file holds: its head says so, and no more is brought."""
    with in_words(model, commit):
        metadata = HfApi(endpoint=constants.ENDPOINT).parse_safetensors_file_metadata(
            model, name, revision=commit
        )
    return sum(metadata.parameter_count.values())


def fetch(model: str, commit: str, name: str, count: Count) -> None:
    """Bring one file to the cache; a part that an earlier attempt brought is not brought again."""
    with in_words(model, commit):
        hf_hub_download(
            model,
            name,
            revision=commit,
            endpoint=constants.ENDPOINT,
            tqdm_class=counter(count),
        )


def counter(count: Count) -> type:
    """What huggingface_hub takes for a progress bar: it hands on the bytes."""

    class Counter:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            count(initial)

        def __enter__(self) -> "Counter":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            count(int(n or 0))

        def set_postfix_str(self, *_: object, **__: object) -> None:
            pass

        def close(self) -> None:
            pass

    return Counter


@contextmanager
def in_words(model: str, revision: str | None) -> Iterator[None]:
    """Every failure of the hub as an ExportError that says what to do."""
    try:
        yield
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError, ValueError) as error:
        raise ExportError(sentence(cause_of(error), model, revision)) from error
    except (KeyError, TypeError, AttributeError) as error:  # an answer of another shape
        raise ExportError(sentence(error, model, revision)) from error


def cause_of(error: BaseException) -> BaseException:
    """What the library met first; it wraps that into errors of its own."""
    while isinstance(error, (EntryNotFoundError, OSError)) and not isinstance(
        error, (HfHubHTTPError, OfflineModeIsEnabled)
    ):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def sentence(error: BaseException, model: str, revision: str | None) -> str:
    """What went wrong, and what a person can do about it."""
    if constants.HF_HUB_OFFLINE and not isinstance(error, HFValidationError):
        template = OFFLINE
    elif type(error) is HfHubHTTPError:
        status = error.response.status_code
        template = ANSWERED.get(status, FAULT if status >= SERVER_ERROR else NO_HUB)
        if status == UNAUTHORIZED and not get_token():
            template = ANONYMOUS
    else:
        template = next((text for kind, text in SENTENCES if isinstance(error, kind)), NO_HUB)
    return template.format(
        hub=constants.ENDPOINT,
        model=model,
        revision="" if revision is None else f" at revision {revision}",
        cache=constants.HF_HUB_CACHE,
        token="A token is in use now." if get_token() else "No token is in use now.",
        reason=(str(error).strip() or type(error).__name__).partition("\n")[0],
    )
