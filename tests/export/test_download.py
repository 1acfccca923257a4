"""From a bucket, moto's, over HTTP on loopback, with a repository of a few small files."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from rich.progress import Progress

from export.download import download_repository
from export.errors import ExportError

FILES = {"unet/config.pbtxt": b'backend: "onnxruntime"', "unet/1/model.onnx": os.urandom(3_000_000)}
URL = "s3://models/x4/1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Where moto speaks S3; it holds the bucket `models`."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    httpx.put(f"{url}/models", trust_env=False).raise_for_status()
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return S3Store.from_url(URL, client_options={"allow_http": True})


def upload(bucket: S3Store, sums: dict[str, str] | None = None) -> None:
    sums = sums or {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    manifest = json.dumps({"model_id": "x4", "sha256": sums}).encode()
    for name, data in {**FILES, "manifest.json": manifest}.items():
        bucket.put(name, data)


def test_it_arrives_whole_and_once(bucket: S3Store, tmp_path: Path) -> None:
    upload(bucket)
    output = tmp_path / "models" / "x4-1"
    bars = Progress(disable=True)
    assert download_repository(URL, output, bars)
    (task,) = bars.tasks
    assert task.completed == task.total == sum(map(len, FILES.values()))
    for name, data in FILES.items():
        assert (output / name).read_bytes() == data
    assert json.loads((output / "manifest.json").read_bytes())["model_id"] == "x4"
    assert [path.name for path in output.parent.iterdir()] == ["x4-1"]
    assert not download_repository("s3://elsewhere", output, Progress(disable=True))


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ({"unet/config.pbtxt": "0" * 64}, "sha256 differs"),
        ({"../outside": "0" * 64}, "outside of the repository"),
        ({"unet/1/model.plan": "0" * 64}, "cannot be downloaded"),
    ],
)
def test_what_is_not_as_exported_leaves_nothing(
    bucket: S3Store, tmp_path: Path, sums: dict[str, str], words: str
) -> None:
    upload(bucket, sums)
    with pytest.raises(ExportError, match=words):
        download_repository(URL, tmp_path / "x4-1", Progress(disable=True))
    assert list(tmp_path.iterdir()) == []


def test_a_url_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"example\.org is no place"):
        download_repository("https://example.org", tmp_path / "x4-1", Progress(disable=True))


def test_what_does_not_fit_is_told_before(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(bucket)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2_000_000}))
    with pytest.raises(ExportError, match=r"About 3.0 MB will be written .* by --output"):
        download_repository(URL, tmp_path / "x4-1", Progress(disable=True))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x4-1").mkdir()
    with pytest.raises(ExportError, match="x4-1 exists already"):
        download_repository(URL, tmp_path / "x4-1", Progress(disable=True))
