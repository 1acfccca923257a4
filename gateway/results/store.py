"""Where results go, and the URL they have there."""

import asyncio
import os
import re
import secrets
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from gateway.errors import StoreFailed
from gateway.images.data_url import DataUrl
from gateway.images.write import KINDS, OutputFormat
from gateway.results.link import ResultLinks
from gateway.settings import ConfigurationError, Settings

PUT_TIMEOUT_S = 60
PUT_RETRIES = 3
GRACE_S = 10  # a file stays so much longer than its link: downloads may begin in the last second
SUFFIXES = "|".join(re.escape(kind.suffix) for kind in KINDS.values())
NAME = re.compile(rf"[A-Za-z0-9_-]{{32}}({SUFFIXES})")
# With #1, #2, ... the store's files that are still being written; a process that dies leaves them.
NAME_OR_PART = re.compile(rf"{NAME.pattern}(#[0-9]+)?")
FAILURES = (BaseError, OSError, ValueError)  # all that obstore raises; TimeoutError is an OSError


class ResultStore(Protocol):
    """Takes a file, whole or not at all, and says where it is."""

    async def publish(
        self, content: bytes, output_format: OutputFormat, base_url: str, /
    ) -> str | DataUrl:
        """An absolute URL. base_url: where the caller reached this server, with a slash at the end.

        Raises StoreFailed.
        """


class InlineResults:
    """Nowhere: the URL is the file."""

    async def publish(self, content: bytes, output_format: OutputFormat, _: str, /) -> DataUrl:
        return DataUrl(content, output_format)


class LocalResults:
    """A folder, served by `GET /media/{name}`.

    public_url: base of the links; None: where the caller reached this server. ttl_s: seconds.
    Raises ConfigurationError when the folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, links: ResultLinks, ttl_s: int, public_url: str | None = None
    ) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"MEDIA_DIR={str(folder)!r} cannot be written: {error.strerror}; name a folder"
                " that this server may write to."
            ) from error
        self.folder = folder.resolve()
        self.links = links
        self._ttl_s = ttl_s
        self._public_url = public_url
        # It writes beside the name and links the whole file to it.
        self._store = LocalStore(self.folder)

    async def publish(self, content: bytes, output_format: OutputFormat, base_url: str, /) -> str:
        name = new_name(output_format)
        try:
            await obstore.put_async(self._store, name, content, mode="create", use_multipart=False)
        except FAILURES as error:
            raise StoreFailed from error
        base = (self._public_url or base_url).rstrip("/")
        return f"{base}/media/{name}?signature={self.links.sign(name)}"

    def remove_expired(self) -> None:
        """Remove the results that no link leads to any more; what is not ours stays."""
        oldest = time.time() - self._ttl_s - GRACE_S
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not NAME_OR_PART.fullmatch(entry.name):
                    continue
                if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                    Path(entry).unlink(missing_ok=True)


class S3Results:
    """A bucket, s3://bucket/prefix; keys, region and endpoint are in the usual AWS_* variables.

    ttl_s: how long the URLs are valid, seconds. Raises ConfigurationError when one is unusable.
    """

    def __init__(self, url: str, ttl_s: int) -> None:
        try:
            self._store = S3Store.from_url(
                url,
                client_options={"allow_http": True},  # the endpoint's own scheme decides
                retry_config={"max_retries": PUT_RETRIES},
            )
        except FAILURES as error:
            raise ConfigurationError(
                f"MEDIA={url!r} cannot be used: {_first_line(error)}; see the AWS_* variables."
            ) from error
        self._ttl = timedelta(seconds=ttl_s)

    async def publish(self, content: bytes, output_format: OutputFormat, _: str, /) -> str:
        name = new_name(output_format)
        attributes = {"Content-Type": KINDS[output_format].media_type}
        try:
            async with asyncio.timeout(PUT_TIMEOUT_S):
                # In one piece: an upload in parts that is cut off leaves them in the bucket.
                await obstore.put_async(
                    self._store, name, content, attributes=attributes, use_multipart=False
                )
                return await obstore.sign_async(self._store, "GET", name, self._ttl)
        except FAILURES as error:
            raise StoreFailed from error


def result_store(settings: Settings) -> ResultStore:
    """What MEDIA asks for. Raises ConfigurationError when it cannot be used."""
    if settings.media == "inline":
        return InlineResults()
    if settings.media == "local":
        secret = settings.media_key
        key = secrets.token_bytes(32) if secret is None else secret.get_secret_value()
        links = ResultLinks(key, settings.media_ttl_s)
        return LocalResults(settings.media_dir, links, settings.media_ttl_s, settings.media_url)
    return S3Results(settings.media, settings.media_ttl_s)


def new_name(output_format: OutputFormat) -> str:
    """A name that nobody guesses: 192 random bits and the suffix."""
    return secrets.token_urlsafe(24) + KINDS[output_format].suffix


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
