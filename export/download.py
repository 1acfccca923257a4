"""Bring a repository from an object store: whole and with the sums that the export wrote."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from rich.progress import Progress

from export.building import building, refuse_existing
from export.disk import refuse_too_little_room
from export.errors import ExportError
from stages.machine import MANIFEST

FAILURES = (BaseError, OSError, ValueError)  # all that obstore raises


def download_repository(url: str, output: Path, progress: Progress) -> bool:
    """Copy what lies at s3://bucket/prefix to `output`; False when that is there already.

    Keys, region and endpoint are in the usual AWS_* variables. It is written beside `output` and
    renamed, so that a half-written one never serves. progress: in bytes. Raises ExportError.
    """
    if (output / MANIFEST).is_file():
        return False
    if urlsplit(url).scheme != "s3":
        raise ExportError(f"{url} is no place to download from; name one like s3://bucket/prefix.")
    refuse_existing(output)
    try:
        store = S3Store.from_url(url, client_options={"allow_http": True})
        manifest = bytes(obstore.get(store, MANIFEST).bytes())
        sums = json.loads(manifest)["sha256"]
        size = sum(obstore.head(store, str(checked_path(name)))["size"] for name in sums)
        refuse_too_little_room([(output, size, "--output")])
        task = progress.add_task("download", total=size)
        with building(output) as folder:
            for name, expected in sums.items():
                progress.update(task, description=name)
                found = fetch_file(store, name, folder / name, lambda n: progress.advance(task, n))
                if found != expected:
                    raise ExportError(
                        f"{url}/{name} is not the file that was exported: its sha256 differs."
                    )
            (folder / MANIFEST).write_bytes(manifest)
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"{url} cannot be downloaded: {reason}") from error
    return True


def checked_path(name: str) -> PurePosixPath:
    """A file's name in the manifest, which must stay inside the repository."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ExportError(f"{MANIFEST} names {name!r}, which lies outside of the repository.")
    return path


def fetch_file(store: S3Store, name: str, path: Path, count: Callable[[int], None]) -> str:
    """Write one object to a file, a few megabytes at a time; returns its sha256.

    count: gets the bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in obstore.get(store, name).stream():
            file.write(chunk)
            digest.update(chunk)
            count(len(chunk))
    return digest.hexdigest()
