"""Folder and bucket: the folder is a real one, the bucket moto's, over HTTP on loopback."""

import asyncio
import os
import re
import resource
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from moto.server import ThreadedMotoServer

from gateway.app import create_app
from gateway.errors import StoreFailed
from gateway.images.write import OutputFormat, write_image
from gateway.results.link import ResultLinks
from gateway.results.store import InlineResults, LocalResults, S3Results, result_store
from gateway.settings import ConfigurationError, Settings
from gateway.triton.pool import TritonPool
from tests.gateway.test_app import IMAGE, FakeTriton
from tests.photographs import photograph, pixels_of

CONTENT = write_image(np.asarray(photograph("cat", 64, 64)), "png")
BASE = "http://gateway/"
TTL_S = 100


def local(folder: Path) -> LocalResults:
    return LocalResults(folder, ResultLinks("key", TTL_S), TTL_S)


def published(results: LocalResults, content: bytes = CONTENT) -> str:
    return asyncio.run(results.publish(content, "png", BASE))


def link_to(results: LocalResults, name: str) -> str:
    """As if the server had published that name."""
    return f"/media/{quote(name, safe='')}?signature={results.links.sign(name)}"


def name_in(link: str) -> str:
    return Path(urlsplit(link).path).name


def fetch(folder: Path, *links: str, method: str = "GET", **headers: str) -> list[httpx.Response]:
    """Ask a server of that folder whose key is `key`."""

    async def main() -> list[httpx.Response]:
        async with client_of(app_of(folder)) as client:
            return [await client.request(method, link, headers=headers) for link in links]

    return asyncio.run(main())


def app_of(folder: Path, **settings: Any) -> FastAPI:
    pool = TritonPool(lambda _: FakeTriton(), 3.0)  # type: ignore[arg-type, return-value]
    pool.add("triton:8001")
    options = {"media": "local", "media_dir": folder, "media_ttl_s": TTL_S, "media_key": "key"}
    every = settings_of(**{**options, **settings})
    return create_app(every, pool)


def settings_of(**values: Any) -> Settings:
    """Values as the environment has them; the others are the defaults."""
    return Settings(**values)


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Raises what the application raises; its background work runs."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client,
    ):
        while (await client.get("/health")).status_code != 200:
            await asyncio.sleep(0.001)
        yield client


@contextmanager
def full_disk(max_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond max_bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_result_is_served_as_it_was_published(tmp_path: Path) -> None:
    link = published(local(tmp_path))
    assert re.fullmatch(r"http://gateway/media/[\w-]{32}\.png\?signature=[\w.-]+", link)
    response, head = *fetch(tmp_path, link), *fetch(tmp_path, link, method="HEAD")
    assert response.status_code == head.status_code == 200
    assert response.content == CONTENT
    assert head.content == b""
    for headers in (response.headers, head.headers):
        assert headers["content-type"] == "image/png"
        assert headers["content-length"] == str(len(CONTENT))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'"
        matched = re.fullmatch(r"private, max-age=(\d+)", headers["cache-control"])
        assert matched is not None
        assert TTL_S - 60 < int(matched[1]) <= TTL_S


def test_a_part_of_a_result_is_served(tmp_path: Path) -> None:
    [part] = fetch(tmp_path, published(local(tmp_path)), range="bytes=1-3")
    assert part.status_code == 206
    assert part.content == CONTENT[1:4]
    assert part.headers["content-range"] == f"bytes 1-3/{len(CONTENT)}"


def test_every_format_has_its_type(tmp_path: Path) -> None:
    types: dict[OutputFormat, str] = {
        "png": "image/png",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
    }
    for output_format, media_type in types.items():
        link = asyncio.run(local(tmp_path).publish(b"x", output_format, BASE))
        [response] = fetch(tmp_path, link)
        assert response.headers["content-type"] == media_type


def test_names_are_new_and_others_on_the_machine_cannot_list_them(tmp_path: Path) -> None:
    results = local(tmp_path / "new" / "folder")
    assert len({published(results) for _ in range(20)}) == 20
    assert stat.S_IMODE(results.folder.stat().st_mode) == 0o700


def test_an_answer_has_a_link_to_the_picture(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(app_of(tmp_path)) as client:
            data = {"prompt": "x", "safety_check": "false", "output_format": "webp"}
            response = await client.post("/upscale", files={"image": IMAGE}, data=data)
            url = response.json()["images"][0]["url"]
            assert url.startswith("http://gateway/media/")
            assert pixels_of((await client.get(url)).content).shape == (32, 32, 3)
            data["output_format"] = "gif"
            response = await client.post("/upscale", files={"image": IMAGE}, data=data)
            assert response.status_code == 422

    asyncio.run(main())


def test_a_public_url_leads_the_links(tmp_path: Path) -> None:
    settings = settings_of(
        media="local", media_dir=tmp_path, media_url="https://images.example/up/"
    )
    link = asyncio.run(result_store(settings).publish(CONTENT, "png", BASE))
    assert str(link).startswith("https://images.example/up/media/")


def test_inline_needs_no_route(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(app_of(tmp_path, media="inline")) as client:
            assert (await client.get(f"/media/{'x' * 32}.png")).status_code == 404
            data = {"prompt": "x", "safety_check": "false", "output_format": "jpeg"}
            response = await client.post("/upscale", files={"image": IMAGE}, data=data)
            assert response.json()["images"][0]["url"].startswith("data:image/jpeg;base64,")

    asyncio.run(main())
    assert isinstance(result_store(settings_of()), InlineResults)


def test_signatures_are_checked(tmp_path: Path) -> None:
    results = local(tmp_path)
    first, second = published(results), published(results)
    bare, signature = first.split("?signature=")
    other_key = ResultLinks("other", TTL_S).sign(name_in(first))
    forged = [
        bare,
        f"{bare}?signature=",
        f"{bare}?signature=é",
        f"{bare}?signature=.",
        f"{bare}?signature={signature[:-1]}",
        f"{bare}?signature=x{signature}",
        f"{bare}?signature={other_key}",
        f"{bare}?signature={second.split('?signature=')[1]}",
    ]
    for response in fetch(tmp_path, *forged):
        assert response.status_code == 404
        assert list(response.json()["detail"]) == ["msg"]
    assert fetch(tmp_path, first)[0].status_code == 200


def test_without_a_key_links_end_with_the_process(tmp_path: Path) -> None:
    settings = settings_of(media="local", media_dir=tmp_path)
    link = asyncio.run(result_store(settings).publish(CONTENT, "png", BASE))

    async def main() -> None:
        async with client_of(app_of(tmp_path, media_key=None)) as client:
            assert (await client.get(str(link))).status_code == 404

    asyncio.run(main())


def test_links_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = local(tmp_path)
    now = int(time.time())
    for age_s, status in ((TTL_S - 30, 200), (TTL_S + 1, 410)):
        with monkeypatch.context() as patch:
            patch.setattr(TimestampSigner, "get_timestamp", lambda _, age_s=age_s: now - age_s)
            link = published(results)
        [response] = fetch(tmp_path, link)
        assert response.status_code == status
    assert "has expired" in response.json()["detail"]["msg"]


def test_a_result_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    link = published(local(tmp_path))
    (tmp_path / name_in(link)).unlink()
    [response] = fetch(tmp_path, link)
    assert response.status_code == 410


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "..",
        ".",
        "secret.png",
        f".{'x' * 31}.png",
        f"{'x' * 32}.png#1",
        f"{'x' * 32}.svg",
        f"{'x' * 32}.png\n",
        f"{'x' * 32}.png\0",
        f"../{'x' * 32}.png",
        f"folder/{'x' * 32}.png",
        f"..\\{'x' * 32}.png",
        "/etc/passwd",
    ],
)
def test_nothing_else_can_be_reached_even_with_a_signature(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "media"
    results = local(folder)
    (folder / "folder").mkdir()
    for path in (tmp_path / "secret.png", folder / "secret.png", folder / f".{'x' * 31}.png"):
        path.write_bytes(b"secret")
    for path in (tmp_path, folder / "folder"):
        (path / f"{'x' * 32}.png").write_bytes(b"secret")
    for odd in (f"{'x' * 32}.png#1", f"{'x' * 32}.svg"):
        (folder / odd).write_bytes(b"secret")
    signature = f"?signature={results.links.sign(name)}"
    links = [
        link_to(results, name),
        f"/media/{quote(name)}{signature}",
        f"/media/{quote(quote(name, safe=''), safe='')}{signature}",
        "/media/" + "".join(f"%{byte:02x}" for byte in name.encode()) + signature,
    ]
    for response in fetch(folder, *links):
        # Clients go up the path themselves: /media/.. is the page.
        assert response.status_code == (200 if response.url.path == "/" else 404)
        assert b"secret" not in response.content


def test_links_and_folders_are_not_followed(tmp_path: Path) -> None:
    results = local(tmp_path / "media")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (results.folder / f"{'x' * 32}.png").symlink_to(secret)
    (results.folder / f"{'y' * 32}.png").mkdir()
    links = [link_to(results, f"{letter * 32}.png") for letter in "xy"]
    assert [response.status_code for response in fetch(results.folder, *links)] == [404, 404]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    results = local(tmp_path)
    with full_disk(100), pytest.raises(StoreFailed, match="could not be stored") as caught:
        published(results)
    assert "File too large" in str(caught.value.__cause__)
    assert list(tmp_path.iterdir()) == []
    assert published(results)


def test_a_folder_that_breaks_is_the_servers_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "media"

    async def main() -> None:
        async with client_of(app_of(folder)) as client:
            folder.rmdir()
            folder.write_bytes(b"")
            data = {"prompt": "x", "safety_check": "false"}
            response = await client.post("/upscale", files={"image": IMAGE}, data=data)
            assert response.status_code == 500
            message = "The result could not be stored; try again."
            assert response.json() == {"detail": {"msg": message}}

    asyncio.run(main())
    assert str(folder) in caplog.text
    assert folder.read_bytes() == b""


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (
        tmp_path / "file",
        tmp_path / "file" / "media",
        Path("/proc/media"),
        Path("/proc"),
    ):
        with pytest.raises(ConfigurationError, match=f"MEDIA_DIR='{folder}' cannot be written"):
            app_of(folder)


def test_what_has_expired_is_swept_and_nothing_else(tmp_path: Path) -> None:
    results = local(tmp_path / "media")
    old, new = published(results), published(results)
    long_ago = time.time() - TTL_S - 60
    ours = [name_in(old), f"{'x' * 32}.jpg", f"{'x' * 32}.webp#1"]
    others = ["notes.txt", ".keep", "x.png", f"{'x' * 33}.png", f"{'x' * 32}.png.bak"]
    for name in ours + others:
        (results.folder / name).touch()
        os.utime(results.folder / name, (long_ago, long_ago))
    (results.folder / f"{'d' * 32}.png").mkdir()
    (results.folder / f"{'s' * 32}.png").symlink_to(tmp_path)
    results.remove_expired()
    left = {path.name for path in results.folder.iterdir()}
    assert left == {name_in(new), *others, f"{'d' * 32}.png", f"{'s' * 32}.png"}


def test_the_application_sweeps_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.routes.results.SWEEP_INTERVAL_S", 0.001)
    left_by_a_process_before = tmp_path / f"{'x' * 32}.png"

    async def swept(path: Path) -> None:
        path.touch()
        os.utime(path, (0, 0))
        while path.exists():
            await asyncio.sleep(0.001)

    async def main() -> None:
        left_by_a_process_before.touch()
        os.utime(left_by_a_process_before, (0, 0))
        async with client_of(app_of(tmp_path)), asyncio.timeout(10):
            while left_by_a_process_before.exists():
                await asyncio.sleep(0.001)
            await swept(tmp_path / f"{'y' * 32}.png")
            tmp_path.rename(tmp_path.with_name("away"))
            while "Sweeping MEDIA_DIR failed" not in caplog.text:
                await asyncio.sleep(0.001)
            tmp_path.with_name("away").rename(tmp_path)
            await swept(tmp_path / f"{'z' * 32}.png")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MEDIA", "ftp://host"),
        ("MEDIA", "s3://"),
        ("MEDIA", "s3://bucket?x=1"),
        ("MEDIA_TTL_S", "0"),
        ("MEDIA_TTL_S", "604801"),
        ("MEDIA_URL", "images.example.org"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigurationError, match=re.escape(f"{key}='{value}'")):
        Settings.from_environment()


def test_the_key_is_not_shown() -> None:
    assert "sesame" not in repr(settings_of(media_key="sesame"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Where moto speaks S3; it holds the bucket `pictures`."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    assert httpx.put(f"{url}/pictures", trust_env=False).status_code == 200
    yield url
    server.stop()


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return endpoint


def test_a_bucket_gives_presigned_links(aws: str) -> None:
    large = os.urandom(6_000_000)  # more than obstore would send in one part by itself
    for content in (CONTENT, large):
        link = asyncio.run(S3Results("s3://pictures/up/scaled", 77).publish(content, "jpeg", BASE))
        assert re.match(rf"{aws}/pictures/up/scaled/[\w-]{{32}}\.jpg\?", link)
        assert "X-Amz-Expires=77&" in link
        assert "X-Amz-Signature=" in link
        response = httpx.get(link, trust_env=False)
        assert response.status_code == 200
        assert response.content == content
        assert response.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("url", "change"),
    [
        ("s3://nowhere", {}),
        ("s3://pictures", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}),
    ],
)
def test_a_bucket_that_fails_is_the_servers_fault(
    aws: str, monkeypatch: pytest.MonkeyPatch, url: str, change: dict[str, str]
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    results = result_store(settings_of(media=url))
    with pytest.raises(StoreFailed, match="could not be stored") as caught:
        asyncio.run(results.publish(CONTENT, "png", BASE))
    assert caught.value.__cause__ is not None


def test_a_bucket_that_does_not_answer_is_given_up(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.results.store.PUT_TIMEOUT_S", 0.05)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreFailed) as caught:
            asyncio.run(S3Results("s3://pictures", TTL_S).publish(CONTENT, "png", BASE))
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_bucket_that_cannot_be_set_up_stops_the_start(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match=r"MEDIA='s3://pictures' .* SecretAccessKey;"):
        result_store(settings_of(media="s3://pictures"))
