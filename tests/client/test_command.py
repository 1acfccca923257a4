"""`upscale image` as a user runs it, against a real HTTP server on loopback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fastapi import Response
from PIL import Image
from typer.testing import CliRunner, Result

from cli.__main__ import app
from tests.client.loopback import (
    SIGNATURES,
    Answer,
    Loopback,
    Sent,
    event,
    in_turn,
    plain,
    refused,
    result,
    stream,
    streamed,
)

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images, each with its own name in it, in the working directory's `photos`."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    (folder / "deep").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "deep/c.webp"):
        (folder / name).write_text(name)
    return folder


def image(server: Loopback, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["image", "--url", server.url, *map(str, arguments)])


def files(folder: str = ".") -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


async def lost(_: Sent) -> Response:
    """The connection breaks in the middle of the result."""
    half = event("result", result("data:image/png;base64,iVBORw0KGgo"))[:-20]
    return stream(event("queued", {"position": 0}), half, breaks=True)


@pytest.mark.parametrize("answer", [streamed, plain])
def test_a_file(loopback: Loopback, photos: Path, answer: Answer) -> None:
    loopback.answer = answer
    done = image(loopback, photos / "a.jpg", "--seed", "7", "--steps", "20", "--no-safety-check")
    assert (done.exit_code, done.output) == (0, "Wrote photos/a-upscaled.png, seed 7.\n")
    assert Path("photos/a-upscaled.png").read_bytes() == SIGNATURES["png"] + b"a.jpg"
    assert loopback.sent[0].fields == {
        "prompt": "a photo",
        "seed": "7",
        "num_inference_steps": "20",
        "safety_check": "false",
        "output_format": "png",
    }
    assert loopback.sent[0].authorization is None


@pytest.mark.parametrize(
    ("name", "kind"), [("x.png", "png"), ("x.jpeg", "jpeg"), ("x.webp", "webp")]
)
def test_a_named_file(loopback: Loopback, photos: Path, name: str, kind: str) -> None:
    assert image(loopback, photos / "a.jpg", "-o", f"new/{name}").exit_code == 0
    assert files("new") == {name: SIGNATURES[kind] + b"a.jpg"}


def test_a_picture_at_a_path_of_the_server(loopback: Loopback, photos: Path) -> None:
    async def answer(sent: Sent) -> Response:
        loopback.media["1.png"] = sent.picture
        return stream(event("result", result("/media/1.png", nsfw=True)))

    loopback.answer = answer
    done = image(loopback, photos / "a.jpg", "-o", "x.png", "--token", "secret")
    assert done.exit_code == 0
    assert "Flagged by the safety checker: x.png." in done.output
    assert Path("x.png").read_bytes() == loopback.media["1.png"]
    assert loopback.sent[0].authorization == "Bearer secret"
    assert loopback.fetched == ["Bearer secret"]


def test_the_variables_of_the_environment(
    loopback: Loopback, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALE_URL", loopback.url)
    monkeypatch.setenv("UPSCALE_TOKEN", "secret")
    assert CliRunner().invoke(app, ["image", str(photos / "a.jpg")]).exit_code == 0
    assert loopback.sent[0].authorization == "Bearer secret"


def test_a_folder_with_all_in_flight(loopback: Loopback, photos: Path) -> None:
    together = asyncio.Barrier(3)

    async def answer(sent: Sent) -> Response:
        async with asyncio.timeout(5):
            await together.wait()
        return await streamed(sent)

    loopback.answer = answer
    done = image(loopback, photos, "-o", "out", "--format", "jpeg")
    assert (done.exit_code, done.output) == (0, "3 upscaled.\n")
    assert files("out") == {
        "a.jpg": SIGNATURES["jpeg"] + b"a.jpg",
        "b.jpg": SIGNATURES["jpeg"] + b"b.png",
        "deep/c.jpg": SIGNATURES["jpeg"] + b"deep/c.webp",
    }


def seconds_of(width: int, height: int) -> float | None:
    """Known for what is not wide."""
    return None if width > 100 else width * height / 100


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([(20, 10)], "About 0:00:02."),
        ([(20, 10), (20, 10), (80, 100)], "About 0:01:24 for 3 images."),
        ([(100, 90), (100, 90)], "About 0:03:00 for 2 images."),
        ([(100, 6000)], "About 1:40:00."),
        ([(20, 10), (200, 10)], None),
    ],
)
def test_what_it_will_take_is_told_before_it_is_sent(
    loopback: Loopback, tmp_path: Path, sizes: list[tuple[int, int]], told: str | None
) -> None:
    loopback.seconds = seconds_of
    for number, size in enumerate(sizes):
        Image.new("L", size).save(tmp_path / f"{number}.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "9.png").write_text("no image, and its result is there")
    (tmp_path / "out" / "9.png").touch()
    images = sorted(tmp_path.glob("*.png"))
    options = ("--steps", "7", "--scheduler", "DDIM", "--step-cache", "3")
    done = image(loopback, *images, "-o", tmp_path / "out", "--format", "png", *options)
    assert done.exit_code == 0
    assert done.output.startswith("About") is (told is not None)
    assert (told or "upscaled") in done.output.splitlines()[0]
    assert len(loopback.estimated) <= len(set(sizes)), "of a size once"
    first = {"width": sizes[0][0], "height": sizes[0][1], "output_format": "png"}
    fields = {"num_inference_steps": 7, "scheduler": "DDIM", "step_cache": 3}
    assert loopback.estimated[0] == {**first, **fields}


def test_quiet_and_json_ask_for_no_forecast(loopback: Loopback, tmp_path: Path) -> None:
    loopback.seconds = seconds_of
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for option in ("--quiet", "--json"):
        done = image(loopback, tmp_path / "a.png", "--overwrite", option)
        assert (done.exit_code, done.stderr) == (0, "")
    assert loopback.estimated == []


MODEL = {
    "model_id": "m",
    "num_inference_steps": 75,
    "guidance_scale": 9.0,
    "noise_level": 20,
    "max_noise_level": 350,
    "has_safety_checker": True,
    "prompt_has_effect": True,
    "schedulers": ["DDIM"],
    "input_formats": ["png"],
    "max_input_pixels": 100,
    "max_fit_pixels": 1000,
    "max_body_bytes": 5000,
    "max_in_progress": 8,
    "max_waiting": 56,
}


@pytest.mark.parametrize(
    ("size", "options", "told"),
    [
        ((10, 10), [], None),
        ((11, 10), [], "which is 110 pixels; this server takes at most 100. --fit lets it"),
        ((11, 10), ["--fit"], None),
        ((40, 30), [], "at most 100. Reduce or crop it."),
        ((40, 30), ["--fit"], "at most 1000. Reduce or crop it."),
    ],
)
def test_what_is_too_large_is_told_before_it_is_sent(
    loopback: Loopback, tmp_path: Path, size: tuple[int, int], options: list[str], told: str | None
) -> None:
    loopback.model = MODEL
    Image.new("L", size).save(tmp_path / "a.png")
    done = image(loopback, tmp_path / "a.png", *options)
    assert done.exit_code == (0 if told is None else 1)
    assert (told or "Wrote") in done.output.replace("\n", " ")
    assert len(loopback.sent) == (told is None)


def test_a_file_of_too_many_bytes_is_not_sent(loopback: Loopback, tmp_path: Path) -> None:
    loopback.model = MODEL
    (tmp_path / "a.heic").write_bytes(bytes(5001))
    done = image(loopback, tmp_path / "a.heic")
    assert "The file has 5001 bytes" in done.output
    assert loopback.sent == []


def test_how_the_result_leaves_is_asked_for(loopback: Loopback, photos: Path) -> None:
    options = ["--scale", "2.5", "--background", "#ffffff", "--fit"]
    assert image(loopback, photos / "a.jpg", *options).exit_code == 0
    assert image(loopback, photos / "b.png", "--width", "9", "--height", "7").exit_code == 0
    first, second = (sent.fields for sent in loopback.sent)
    assert (first["scale"], first["background"], first["fit"]) == ("2.5", "#ffffff", "true")
    assert (second["width"], second["height"]) == ("9", "7")
    assert "fit" not in second


def test_a_second_run_does_what_the_first_could_not(loopback: Loopback, photos: Path) -> None:
    async def answer(sent: Sent) -> Response:
        return await (lost if sent.image == b"b.png" else streamed)(sent)

    loopback.answer = answer
    first = image(loopback, photos, "-o", "out")
    assert first.exit_code == 1
    assert "Error: photos/b.png: The connection broke: " in first.output
    assert "2 upscaled, 1 failed." in first.output
    assert list(files("out")) == ["a.png", "deep/c.png"]

    loopback.answer = streamed
    second = image(loopback, photos, "-o", "out")
    assert (second.exit_code, second.output) == (0, "1 upscaled, 2 skipped because they exist.\n")
    assert list(files("out")) == ["a.png", "b.png", "deep/c.png"]
    assert len(loopback.sent) == 4

    third = image(loopback, photos / "b.png", "-o", "out")
    assert (third.exit_code, len(loopback.sent)) == (0, 4)
    assert third.output == "out/b.png exists; --overwrite makes it again.\n"
    assert image(loopback, photos / "b.png", "-o", "out", "--overwrite").exit_code == 0
    assert len(loopback.sent) == 5


def test_a_busy_server_is_asked_again(loopback: Loopback, photos: Path) -> None:
    busy = refused(503, "The queue is full.", retry_after="0")
    loopback.answer = in_turn(busy, refused(500, "Insufficient capacity.", retry_after="0"), plain)
    assert image(loopback, photos / "a.jpg", "-o", "x.png").exit_code == 0
    assert len(loopback.sent) == 3

    loopback.answer = busy
    done = image(loopback, photos / "a.jpg", "-o", "y.png", "--retries", "1")
    assert done.exit_code == 1
    assert done.output == "Error: photos/a.jpg: The queue is full.\n1 failed.\n"
    assert len(loopback.sent) == 5


def test_a_lost_connection_is_tried_again_for_the_same_seed(
    loopback: Loopback, photos: Path
) -> None:
    loopback.answer = in_turn(lost, streamed)
    assert image(loopback, photos / "a.jpg", "-o", "x.png", "--seed", "7").exit_code == 0
    assert len(loopback.sent) == 2


def test_a_refused_image(loopback: Loopback, photos: Path) -> None:
    loopback.answer = refused(400, "The image is larger than 1048576 pixels.")
    before = files()
    done = image(loopback, photos / "a.jpg")
    assert done.exit_code == 1
    assert done.output == (
        "Error: photos/a.jpg: The image is larger than 1048576 pixels.\n1 failed.\n"
    )
    assert files() == before


def test_a_refused_token(loopback: Loopback, photos: Path) -> None:
    loopback.answer = refused(401, "Invalid bearer token.")
    done = image(loopback, photos, "-o", "out", "--token", "wrong", "--concurrency", "1")
    assert done.exit_code == 1
    assert done.output == (
        "Error: The server refuses: Invalid bearer token."
        " Name its token with --token or UPSCALE_TOKEN.\n3 not done.\n"
    )
    assert len(loopback.sent) == 1


def test_no_server(loopback: Loopback, photos: Path) -> None:
    done = image(loopback, photos / "a.jpg", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.output.startswith("Error: http://127.0.0.1:1 cannot be reached: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photos"], "name it with --output"),
        (["photos/none.png"], "photos/none.png does not exist."),
        (["photos/a.jpg", "-o", "x.gif"], "x.gif is no folder that exists"),
        (["photos/a.jpg", "--url", "localhost:8000"], "localhost:8000 is no URL"),
        (["photos/a.jpg", "--token", "two words"], "printable ASCII"),
        (["photos/a.jpg", "--format", "gif"], "'gif'"),
        (["photos/a.jpg", "--concurrency", "0"], "--concurrency"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage(loopback: Loopback, photos: Path, arguments: list[str], sentence: str) -> None:
    before = files()
    done = image(loopback, *arguments)
    assert done.exit_code == 2
    assert sentence in done.output
    assert files() == before
    assert loopback.sent == []


def test_interrupted(loopback: Loopback, photos: Path) -> None:
    arrived, ended = threading.Event(), threading.Event()

    async def answer(sent: Sent) -> Response:
        if sent.image == b"a.jpg":
            return await streamed(sent)
        arrived.set()
        await asyncio.to_thread(ended.wait, 20)
        return await lost(sent)

    loopback.answer = answer
    command = [sys.executable, "-m", "cli", "image", "photos", "-o", "out", "--url", loopback.url]
    client = subprocess.Popen(
        [*command, "--concurrency", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores SIGINT, and so does all below it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        assert arrived.wait(20)
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=10)
    finally:
        client.kill()
        client.wait()
        ended.set()
    assert client.returncode == 130
    assert told == "Interrupted.\n1 upscaled, 2 not done.\n"
    assert list(files("out")) == ["a.png"]


def test_standard_input_becomes_standard_output(loopback: Loopback, photos: Path) -> None:
    command = [sys.executable, "-m", "cli", "image", "--url", loopback.url, "-", "--format", "jpeg"]
    with (photos / "a.jpg").open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, cwd=ROOT, check=True)
    assert done.stdout == SIGNATURES["jpeg"] + b"a.jpg"
    assert done.stderr.startswith(b"Wrote to standard output, seed ")


def test_what_is_no_regular_file_becomes_the_named_file(loopback: Loopback, photos: Path) -> None:
    """As with /dev/stdin, or the pipe that a shell makes of <(...)."""
    command = [sys.executable, "-m", "cli", "image", "--url", loopback.url, "/dev/stdin"]
    command += ["-o", str(photos.absolute() / "s.png"), "--quiet"]
    done = subprocess.run(command, input=b"x", capture_output=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert (photos / "s.png").read_bytes() == SIGNATURES["png"] + b"x"


def test_json_is_a_line_an_image(loopback: Loopback, photos: Path) -> None:
    (photos / "d.png").symlink_to("nowhere")
    sources = [photos / name for name in ("a.jpg", "none.png", "b.png")]
    done = image(loopback, *sources, "-o", "out", "--json", "--concurrency", "1", "--seed", "7")
    assert done.exit_code == 1
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first.pop("seconds") >= 0
    assert first == {"input": "photos/a.jpg", "output": "out/a.png", "seed": 7, "nsfw": False}
    assert second["error"] == "No such file or directory"
    assert third["input"] == "photos/b.png"
    again = image(loopback, *sources, "-o", "out", "--json", "--concurrency", "1").stdout
    assert [json.loads(line).get("skipped") for line in again.splitlines()] == [True, None, True]


def test_quiet_says_errors_alone(loopback: Loopback, photos: Path) -> None:
    sources = [photos / name for name in ("a.jpg", "none.png")]
    done = image(loopback, *sources, "-o", "out", "--quiet")
    assert (done.exit_code, done.output) == (
        1,
        "Error: photos/none.png: No such file or directory\n",
    )


def test_two_things_do_not_share_standard_output(loopback: Loopback, photos: Path) -> None:
    done = image(loopback, photos / "a.jpg", "-o", "-", "--json")
    assert done.exit_code == 2
    assert "cannot both go to standard output" in done.output
    assert loopback.sent == []
