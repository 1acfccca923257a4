"""Bring a repository from an object store: whole and with the sums that the export wrote."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from export.errors import ExportError
from stages.machine import MANIFEST

FAILURES = (BaseError, OSError, ValueError)  # all that obstore raises


def download_repository(url: str, output: Path) -> bool:
    """Copy what lies at s3://bucket/prefix to `output`; False when that is there already.

    Keys, region and endpoint are in the usual AWS_* variables. It is written beside `output` and
    renamed, so that a half-written one never serves. Raises ExportError.
    """
    if (output / MANIFEST).is_file():
        return False
    if urlsplit(url).scheme != "s3":
        raise ExportError(f"{url} is no place to download from; name one like s3://bucket/prefix.")
    output.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
    try:
        store = S3Store.from_url(url, client_options={"allow_http": True})
        manifest = bytes(obstore.get(store, MANIFEST).bytes())
        for name, expected in json.loads(manifest)["sha256"].items():
            if fetch_file(store, name, building / checked_path(name)) != expected:
                raise ExportError(
                    f"{url}/{name} is not the file that was exported: its sha256 differs."
                )
        (building / MANIFEST).write_bytes(manifest)
        building.chmod(0o755)
        building.rename(output)
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"{url} cannot be downloaded: {reason}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def checked_path(name: str) -> PurePosixPath:
    """A file's name in the manifest, which must stay inside the repository."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ExportError(f"{MANIFEST} names {name!r}, which lies outside of the repository.")
    return path


def fetch_file(store: S3Store, name: str, path: Path) -> str:
    """Write one object to a file, a few megabytes at a time; returns its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in obstore.get(store, name).stream():
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
