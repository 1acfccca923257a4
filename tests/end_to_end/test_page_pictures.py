"""Pictures in the page at `/`: cancelled, several of them, asked for again, and looked at."""

import io
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Dialog, FilePayload, expect

from tests.end_to_end.page import LARGE, PHOTOGRAPH, SIDE, Open, choose, row, submit
from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server, wait_until


def active(server: Server) -> float:
    return server.metric("upscale_denoise_jobs", state="active")


def ended(server: Server) -> list[float]:
    """How many jobs were cancelled and how many came to their end."""
    outcomes = ("cancelled", "completed")
    return [server.metric("upscale_denoise_jobs_total", outcome=outcome) for outcome in outcomes]


def test_a_cancel_ends_the_work(server: Server, open_page: Open) -> None:
    page = open_page(server)
    choose(page, 1000, LARGE)
    cancelled, completed = ended(server)
    submit(page)
    wait_until(lambda: active(server) == 1, 60)
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: active(server) == 0, 60)
    assert ended(server) == [cancelled + 1, completed]
    expect(page.get_by_role("status").filter(has_text="Cancelled.")).to_have_count(1)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.get_by_role("button", name="Upscale")).to_be_enabled()


def files(*names: str) -> list[FilePayload]:
    return [{**PHOTOGRAPH, "name": name} for name in names]


def test_several_files_are_a_queue(server: Server, open_page: Open) -> None:
    page = open_page(server)
    no_image: FilePayload = {"name": "c.txt", "mimeType": "text/plain", "buffer": b"no image"}
    page.get_by_label("Choose an image").set_input_files([*files("a.png", "b.png"), no_image])
    expect(row(page, "c.txt")).to_contain_text("It is no image")
    page.get_by_text("Options").click()
    page.get_by_label("Steps").fill("100")
    page.get_by_role("button", name="Upscale 2").click()
    page.get_by_role("button", name="Pause").click()
    expect(row(page, "a.png")).to_contain_text("Done, 192 × 192")
    expect(row(page, "b.png")).to_contain_text("Waiting")
    page.get_by_role("button", name="Go on").click()
    expect(row(page, "b.png")).to_contain_text("Done, 192 × 192")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download all 2").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a-upscaled.png", "b-upscaled.png"]
        assert pixels_of(archive.read("a-upscaled.png")).shape == (4 * SIDE, 4 * SIDE, 3)
    page.get_by_role("button", name="Close b.png").click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("button", name="Download all")).to_be_hidden()
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.once("dialog", accept)
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.get_by_label("Steps")).to_have_value("100")  # settings are remembered


def test_a_busy_server_is_asked_again_and_a_failed_picture_by_hand(
    server: Server, open_page: Open
) -> None:
    page = open_page(server, is_quiet=False)
    answers = [
        {"status": 429, "headers": {"Retry-After": "1"}, "json": {"detail": {"msg": "Busy."}}},
        {"status": 500, "json": {"detail": {"msg": "Insufficient capacity: later."}}},
        {"status": 500, "json": {"detail": {"msg": "It broke."}}},
    ]
    page.route(
        "**/upscale",
        lambda route: route.fulfill(**answers.pop(0)) if answers else route.fallback(),
    )
    choose(page, 2)
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    submit(page)
    for left in (1, 5, 4, 3, 2, 1):  # as the first says, and as long as where it is not said
        expect(page.locator("#state")).to_contain_text(f"it is asked again in {left} s")
        page.clock.run_for(1000)
    page.clock.resume()
    expect(row(page, PHOTOGRAPH["name"])).to_contain_text("It broke.")
    assert answers == []
    page.get_by_role("button", name="Retry").click()
    expect(row(page, PHOTOGRAPH["name"])).to_contain_text("Done")


def test_pixels_are_looked_at(server: Server, open_page: Open) -> None:
    """Before and after move in step, by wheel, buttons, drag and keys."""
    page = open_page(server, viewport={"width": 1120, "height": 800})
    choose(page, 2)
    submit(page)
    slider = page.get_by_role("slider", name="Before and after")
    expect(slider).to_be_visible()
    picture = page.locator("#picture")
    percent = page.locator("#percent")

    def places() -> list[dict[str, float]]:
        found: list[dict[str, float]] = page.evaluate(
            """["before", "after"].map((id) => {
                const { x, y, width } = document.getElementById(id).getBoundingClientRect();
                return { x, y, width };
            })"""
        )
        return found

    page.get_by_role("button", name="100 %").click()
    expect(percent).to_have_text("100 %")
    before, after = places()
    assert before == after
    assert after["width"] == pytest.approx(4 * SIDE)
    page.get_by_role("button", name="Fit").click()
    picture.evaluate("picture => picture.scrollIntoView()")
    fitting = places()[1]
    box = picture.bounding_box()
    assert box is not None
    corner = box["x"] + 50, box["y"] + 50
    page.mouse.move(*corner)
    page.mouse.wheel(0, -500)
    expect(picture).to_have_class(re.compile("moved"))
    before, after = places()
    assert before == after
    zoom = after["width"] / fitting["width"]
    assert zoom > 2
    assert after["x"] == pytest.approx(corner[0] - 50 * zoom, abs=1)  # what is there stays there
    page.mouse.down()
    page.mouse.move(corner[0] - 30, corner[1] - 20)
    page.mouse.up()
    moved, again = places()
    assert moved == again
    assert (moved["x"], moved["y"]) == pytest.approx((after["x"] - 30, after["y"] - 20), abs=1)
    expect(slider).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    assert places()[0]["x"] == pytest.approx(moved["x"] - 40, abs=1)
    expect(slider).to_have_attribute("aria-valuetext", "50 % before")
    page.keyboard.press("0")
    assert places()[1] == fitting
    page.keyboard.press("+")
    assert places()[1]["width"] == pytest.approx(1.5 * fitting["width"])


def test_transparency_and_size_and_the_request_as_a_program(
    server: Server, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(server)
    image = photograph("cat", SIDE, SIDE).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((SIDE, SIDE)))
    name = "it's.png"
    choose(page, 2, {"name": name, "mimeType": "image/png", "buffer": file_of(image)})
    page.get_by_label("Size").select_option("2")
    page.get_by_label("Seed", exact=True).fill("7")
    expect(page.get_by_text("48 × 48, becomes 96 × 96")).to_be_visible()
    submit(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    made = Path(started.value.path()).read_bytes()
    assert Image.open(io.BytesIO(made)).mode == "RGBA"
    assert Image.open(io.BytesIO(made)).size == (96, 96)
    page.get_by_text("As a program").click()
    (tmp_path / name).write_bytes(file_of(image))
    for language, command in (("curl", ["bash", "-c"]), ("Python", [sys.executable, "-c"])):
        page.get_by_role("button", name=language).click()
        code = page.locator("#code").inner_text()
        subprocess.run([*command, code], cwd=tmp_path, check=True, timeout=120)
        assert (tmp_path / "it's-upscaled.png").read_bytes() == made
        (tmp_path / "it's-upscaled.png").unlink()
    page.get_by_role("button", name="JavaScript").click()
    (tmp_path / "again.mjs").write_text(page.locator("#code").inner_text())
    node = shutil.which("node")
    assert node is not None
    subprocess.run([node, "again.mjs"], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "it's-upscaled.png").read_bytes() == made
