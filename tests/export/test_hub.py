"""Every way in which the hub fails, by a hub on loopback; and what is brought when it does not."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from export import hub, source
from export.checkpoint import fetch_weights, find_checkpoint
from export.errors import ExportError
from export.safety_checker import USUAL
from tests.fake_hub import COMMIT, TOKEN, FakeHub, fake_hub
from tests.tiny_pipeline import write

MODEL = "somebody/tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "tiny"
    write(path)
    return path


@pytest.fixture
def server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub({MODEL: folder}) as running:
        point_to(running.url, tmp_path / "cache", monkeypatch)
        yield running


def point_to(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE do when they are set before the import."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(cache / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


def find(model: str = MODEL, revision: str | None = None, checker: str | None = "none") -> object:
    return find_checkpoint(model, revision, checker, None)


def gate(server: FakeHub) -> None:
    server.gated.add(MODEL)


def hide(server: FakeHub) -> None:
    server.private.add(MODEL)


def disable(server: FakeHub) -> None:
    server.disabled.add(MODEL)


def break_list(server: FakeHub) -> None:
    server.broken.add("model_index.json/config.json")
    server.broken.add("unet/extra.json")


def answer(status: int) -> Callable[[FakeHub], None]:
    return lambda server: setattr(server, "status", status)


def talk(server: FakeHub) -> None:
    server.body = b"<html>Please log in to the network</html>"


def say_another_thing(server: FakeHub) -> None:
    server.body = b"[1]"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (gate, r"tiny is gated: ask for access at http://127.*HF_TOKEN .*No token is in use"),
        (hide, r"There is no somebody/tiny at .*or it is private.*HF_TOKEN.*No token is in use"),
        (disable, "was disabled"),
        (break_list, "lists a file of somebody/tiny but does not have it"),
        (answer(401), "gives somebody/tiny only to those who have a token.*set HF_TOKEN"),
        (answer(403), "does not let this token read somebody/tiny"),
        (answer(404), "does not answer as the Hugging Face hub does .*HF_ENDPOINT must be"),
        (answer(429), "too many requests.*wait some minutes"),
        (answer(503), "has a fault of its own .*503.*HF_ENDPOINT names a mirror"),
        (talk, "does not answer as the Hugging Face hub does"),
        (say_another_thing, "does not answer as the Hugging Face hub does"),
    ],
)
def test_each_failure_has_words_of_its_own(
    server: FakeHub, prepare: Callable[[FakeHub], None], words: str
) -> None:
    prepare(server)
    with pytest.raises(ExportError, match=words):
        find()
    assert "unet/diffusion_pytorch_model.safetensors" not in server.sent


def test_names_that_are_not_there(server: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="There is no somebody/else at http://127"):
        find("somebody/else")
    with pytest.raises(ExportError, match=r"somebody/tiny has nothing at revision v9: --revision"):
        find(revision="v9")
    with pytest.raises(ExportError, match="neither a folder here nor a Hugging Face id"):
        find("./no/such/folder")
    with pytest.raises(ExportError, match="There is no nobody/checker"):
        find(checker="nobody/checker")
    without = tmp_path / "without"
    shutil.copytree(server.models[MODEL], without)
    shutil.rmtree(without / "safety_checker")
    with pytest.raises(ExportError, match="There is no CompVis/stable-diffusion-v1-4 at"):
        find(str(without), checker=None)


def test_a_token(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(server)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    find()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ExportError, match=r"refuses the token: .*expired.*A token is in use now"):
        find()


def test_a_network_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        point_to(f"http://127.0.0.1:{unused.getsockname()[1]}", tmp_path, monkeypatch)
        with pytest.raises(
            ExportError, match=r"cannot be reached \(.*refused.*HF_ENDPOINT names a mirror"
        ):
            find()


def test_only_small_files_come_before_they_are_asked_for(server: FakeHub) -> None:
    checkpoint = find_checkpoint(MODEL, "main", None, None)
    assert checkpoint.model_id == MODEL
    assert checkpoint.revision == COMMIT
    assert checkpoint.safety_checker_id == "the checkpoint's own"
    assert not [name for name in server.sent if name.endswith(".safetensors")]
    weights = checkpoint.weights["unet"]
    size = (server.models[MODEL] / weights.files[0]).stat().st_size
    assert weights.missing_bytes() == size
    assert 4 * weights.parameters() == pytest.approx(size, rel=0.1)
    arrived: list[int] = []
    fetch_weights(checkpoint, arrived.append)
    assert sum(arrived) == sum(
        (server.models[MODEL] / name).stat().st_size
        for weights in checkpoint.weights.values()
        for name in weights.files
    )
    assert weights.missing_bytes() == 0
    assert sum(p.numel() for p in checkpoint.load("unet").parameters()) == weights.parameters()
    assert not any("torch/" in agent for agent in server.agents), "what is told of this machine"


def test_offline_the_cache_is_used(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ExportError, match=r"is not whole in .*HF_HUB_OFFLINE is set: unset it once"
    ):
        find()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    fetch_weights(find_checkpoint(MODEL, None, None, None))
    server.status = 503
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = find_checkpoint(MODEL, None, None, None)
    assert (checkpoint.model_id, checkpoint.revision) == (MODEL, COMMIT)
    checkpoint.load("vae")


def test_a_snapshot_of_the_cache_keeps_its_name(server: FakeHub) -> None:
    whole = find_checkpoint(MODEL, None, None, None)
    fetch_weights(whole)
    snapshot = whole.weights["unet"].source.folder
    checkpoint = find_checkpoint(str(snapshot), None, None, None)
    assert (checkpoint.model_id, checkpoint.revision) == (MODEL, COMMIT)


def test_a_safety_checker_is_pinned(server: FakeHub) -> None:
    server.models["somebody/checker"] = server.models[MODEL] / "safety_checker"
    with pytest.raises(ExportError, match="somebody/checker comes without a preprocessor_config"):
        find(checker="somebody/checker")
    named = find_checkpoint(MODEL, None, f"{MODEL}@main", None)
    assert named.safety_checker_id == f"{MODEL}@{COMMIT}"
    with pytest.raises(ExportError, match="somebody/tiny has nothing at revision v9"):
        find(checker=f"{MODEL}@v9")
    assert source.HASH.fullmatch(USUAL.partition("@")[2]), "a commit"


def test_a_download_goes_on_where_it_was_cut(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)
    checkpoint = find_checkpoint(MODEL, None, "none", None)
    (name,) = checkpoint.weights["unet"].files
    size = (server.models[MODEL] / name).stat().st_size
    server.cut.add(name)
    arrived: list[int] = []
    fetch_weights(checkpoint, arrived.append)
    assert size <= server.sent[name] <= size + 2**16, "what had arrived is not asked for again"
    assert sum(arrived) == sum(
        weights.source.sizes[file]
        for weights in checkpoint.weights.values()
        for file in weights.files
    )
    checkpoint.load("unet")


def test_the_command_says_it(server: FakeHub, tmp_path: Path) -> None:
    """With HF_ENDPOINT as an operator sets it, in a process of its own."""
    command = [sys.executable, "-m", "cli", "export", "--model", "somebody/else"]
    result = subprocess.run(
        [*command, "--output", str(tmp_path / "out")],
        env={**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"There is no somebody/else at {server.url}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_cache_is_a_sentence(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = find_checkpoint(MODEL, None, "none", None)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub, "hf_hub_download", full)
    with pytest.raises(ExportError, match=r"cannot be kept in .* below HF_HOME: .*No space left"):
        fetch_weights(checkpoint)
