"""The page at `/` as a person uses it, in a real browser."""

import base64
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    Dialog,
    FilePayload,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.photographs import file_of, photograph, pixels_of
from tests.server import Server, gateway_before, wait_until

SIDE = 48
PHOTOGRAPH: FilePayload = {
    "name": "cat.on.a.mat.png",
    "mimeType": "image/png",
    "buffer": file_of(photograph("cat", SIDE, SIDE)),
}
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MANY_STEPS = 1000
WRONG_NOISE = {"detail": {"msg": "noise_level is 9; at most 8 is allowed."}}
SEED = str(2**62 + 1)  # more than JavaScript's numbers hold

# What the bar and the picture above the input show, from here to the end.
RECORD = """() => {
    window.values = [];
    window.pictures = [];
    const bar = document.querySelector("progress"), after = document.querySelector("#after");
    const watch = (element, attribute, keep) => new MutationObserver(keep)
        .observe(element, { attributes: true, attributeFilter: [attribute] });
    watch(bar, "value", () => bar.hasAttribute("value") && window.values.push(bar.value));
    watch(after, "src", () => window.pictures.push(after.src.slice(0, 40)));
}"""
TIMEOUT_MS = 60_000  # for a machine that is busy with others
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, (
        "the page is tested in Chromium; install it (Debian: apt-get install chromium)"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a server's page; at the end nothing was logged and no other host was asked."""
    opened: list[tuple[Page, str, list[str], list[str]]] = []

    def open_it(server: Server, is_quiet: bool = True, **options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(TIMEOUT_MS)
        said: list[str] = []
        asked: list[str] = []
        if is_quiet:  # Chromium logs every answer that is an error
            page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(host_of(request)))
        page.goto(server.url)
        opened.append((page, server.url, said, asked))
        return page

    yield open_it
    for page, url, said, asked in opened:
        assert said == []
        assert set(asked) <= {urlsplit(url).netloc, ""}  # blob: and data: have no host
        page.context.close()


def host_of(request: Request) -> str:
    return urlsplit(request.url).netloc


def choose(page: Page, steps: int, chosen: FilePayload = PHOTOGRAPH) -> None:
    page.get_by_label("Choose an image").set_input_files(chosen)
    if not page.get_by_label("Steps").is_visible():
        page.get_by_text("Options").click()
    page.get_by_label("Steps").fill(str(steps))


def submit(page: Page) -> None:
    page.get_by_role("button", name="Upscale").click()


def active(server: Server) -> float:
    return server.metric("upscale_denoise_jobs", state="active")


def test_from_a_file_to_a_download(server: Server, open_page: Open) -> None:
    page = open_page(server)
    expect(page.get_by_text("narrow")).to_be_visible()
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    choose(page, steps=300)
    expect(page.get_by_text("48 × 48, becomes 192 × 192")).to_be_visible()
    page.get_by_label("What does it show?").fill("a cat")
    page.get_by_label("Seed", exact=True).fill(SEED)
    page.evaluate(RECORD)
    submit(page)
    download = page.get_by_role("link", name="Download")
    expect(download).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_hidden()
    values, pictures = page.evaluate("[window.values, window.pictures]")
    assert values == sorted(values), "the bar grows"
    assert len(set(values)) >= 20
    assert values[-1] == 1, "to the end"
    assert pictures[0].startswith("data:image/jpeg"), "a preview comes before the result"
    assert pictures[-1].startswith("blob:")
    expect(page.locator("#result-seed")).to_have_text(SEED)
    expect(page.locator("#size")).to_have_text("192 × 192")
    expect(page.get_by_text("The safety checker flagged nothing.")).to_be_visible()
    page.get_by_label("Seed", exact=True).fill("")
    page.get_by_role("button", name="Use this seed again").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value(SEED)
    with page.expect_download() as started:
        download.click()
    assert started.value.suggested_filename == "cat.on.a.mat-upscaled.png"
    content = Path(started.value.path()).read_bytes()
    expected = server.upscale(
        PHOTOGRAPH["buffer"], prompt="a cat", seed=SEED, num_inference_steps=300
    )
    assert content == expected


def test_before_and_after_by_the_keyboard(server: Server, open_page: Open) -> None:
    page = open_page(server)
    choose(page, steps=2)
    page.get_by_role("button", name="Upscale").focus()
    page.keyboard.press("Enter")
    slider = page.get_by_role("slider", name="Before and after")
    expect(slider).to_be_visible()
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "60 % before")
    clip = "image => getComputedStyle(image.parentElement).clipPath"
    assert "60%" in page.locator("#after").evaluate(clip)
    assert "40%" in page.locator("#before").evaluate(clip)
    assert page.locator("#before").evaluate("image => image.naturalWidth") == SIDE
    assert page.locator("#after").evaluate("image => image.naturalWidth") == 4 * SIDE


def test_a_file_that_is_no_image_is_told_in_a_sentence(server: Server, open_page: Open) -> None:
    page = open_page(server, is_quiet=False)
    choose(page, 2, {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("image")
    assert alert.inner_text().endswith(".")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    choose(page, 2)  # and goes when another is chosen
    expect(alert).to_be_hidden()
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()


def test_a_field_that_is_wrong_is_named(server: Server, open_page: Open) -> None:
    page = open_page(server, is_quiet=False)
    choose(page, 2)
    page.get_by_label("Seed", exact=True).fill("seven")
    submit(page)
    seed = page.get_by_label("Seed", exact=True)
    expect(seed).to_be_focused()
    expect(seed).to_have_attribute("aria-invalid", "true")
    expect(seed).to_have_accessible_description("Seed must be a whole number of at most 64 bits.")
    seed.fill("7")
    expect(page.get_by_text("Seed must be")).to_be_hidden()
    page.get_by_label("Steps").fill("0.5")
    submit(page)
    expect(page.get_by_text("Steps must be a whole number from 1 to 1000.")).to_be_visible()
    page.get_by_label("Steps").fill("2")
    page.route("**/upscale", lambda route: route.fulfill(status=400, json=WRONG_NOISE))
    submit(page)
    noise = page.get_by_label("Noise level")
    expect(noise).to_have_accessible_description("Noise level is 9; at most 8 is allowed.")
    page.unroute("**/upscale")
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()


def test_an_image_that_is_too_large_is_not_sent(server: Server, open_page: Open) -> None:
    page = open_page(server)
    large = file_of(Image.new("L", (2000, 1000)))
    choose(page, 2, {"name": "x.png", "mimeType": "image/png", "buffer": large})
    expect(page.get_by_text("2000 × 1000, becomes 8000 × 4000")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("2,000,000 pixels; this server takes at most")
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    page.get_by_role("button", name="Reduce it").click()
    expect(page.get_by_text("Reduced to 1448 × 724. 2 steps")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Upscale")).to_be_focused()
    expect(page.get_by_role("button", name="Upscale")).to_be_enabled()


def test_a_pasted_image_is_taken(server: Server, open_page: Open) -> None:
    page = open_page(server)
    content = base64.b64encode(PHOTOGRAPH["buffer"]).decode()
    page.evaluate(
        """content => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        content,
    )
    expect(page.get_by_text("pasted.png, 48 × 48, becomes 192 × 192")).to_be_visible()


def test_a_loading_model_and_a_lost_server_are_said(server: Server, open_page: Open) -> None:
    page = open_page(server, is_quiet=False)
    page.route("**/health", lambda route: route.fulfill(status=503, json={"status": "LOADING"}))
    page.reload()
    choose(page, 2)
    expect(page.get_by_text("The model is loading.")).to_be_visible()
    stage = {"status": "LOADING", "stage": "Triton loads the engines"}
    page.route("**/health", lambda route: route.fulfill(status=503, json=stage))
    expect(page.get_by_text("The model is loading: Triton loads the engines.")).to_be_visible()
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    page.unroute("**/health")
    expect(page.get_by_role("button", name="Upscale")).to_be_enabled()
    page.route("**/upscale", lambda route: route.abort())
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")


def test_the_facts_that_the_page_asks_for(server: Server) -> None:
    facts = server.get("/model").json()
    assert facts["model_id"] == "narrow"
    assert (facts["num_inference_steps"], facts["guidance_scale"]) == (75, 9.0)
    assert (facts["noise_level"], facts["max_noise_level"]) == (20, 350)
    assert facts["prompt_has_effect"] is facts["has_safety_checker"] is True
    assert (facts["max_input_pixels"], facts["max_body_bytes"]) == (1024 * 1024, 10_000_000)


def test_a_step_cache_is_offered_where_there_is_one(
    servers: Callable[[str], Server], open_page: Open
) -> None:
    """And sent, so that its cheap rows are in the forecast and in the counts."""
    server = servers("wide")
    page = open_page(server)
    choose(page, 4)
    with page.expect_request("**/estimate") as asked:
        page.get_by_label("Step cache").fill("3")
    assert '"step_cache":3' in (asked.value.post_data or "")
    rows = server.metric("upscale_denoise_unet_total", of="shallow_rows")
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    assert server.metric("upscale_denoise_unet_total", of="shallow_rows") == rows + 2 * 2
    other = open_page(servers("narrow"))
    choose(other, 4)
    expect(other.get_by_label("Step cache")).to_be_hidden()


def test_a_cancel_ends_the_work(server: Server, open_page: Open) -> None:
    page = open_page(server)
    choose(page, MANY_STEPS)
    submit(page)
    wait_until(lambda: active(server) == 1, 20)
    rows, _ = server.counts("unet")
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: active(server) == 0, 20)
    assert server.counts("unet")[0] - rows < MANY_STEPS
    expect(page.get_by_role("status").filter(has_text="Cancelled.")).to_have_count(1)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.get_by_role("button", name="Upscale")).to_be_enabled()


def test_a_token_is_asked_for_and_kept_for_the_tab(
    server: Server, open_page: Open, tmp_path: Path
) -> None:
    """With the other settings that the page meets: results as links, all of HTTP's statuses."""
    settings = {"AUTH_TOKEN": "secret", "MEDIA": "local", "MEDIA_DIR": str(tmp_path)}
    with gateway_before(server, ERROR_PROFILE="http", **settings) as gateway:
        page = open_page(gateway, is_quiet=False)
        choose(page, 2)
        expect(page.get_by_label("Token")).to_be_hidden()
        submit(page)
        expect(page.get_by_label("Token")).to_be_focused()
        page.get_by_label("Token").fill("wrong")
        submit(page)
        expect(page.get_by_role("alert")).to_have_text("Invalid bearer token.")
        page.get_by_label("Token").fill("secret")
        submit(page)
        expect(page.get_by_role("link", name="Download")).to_be_visible()
        page.once("dialog", lambda dialog: dialog.accept())  # a result is there
        page.reload()
        choose(page, 2)
        page.get_by_label("Format").select_option("jpeg")
        submit(page)
        download = page.get_by_role("link", name="Download")
        expect(download).to_be_visible()
        with page.expect_download() as started:
            download.click()
        assert started.value.suggested_filename == "cat.on.a.mat-upscaled.jpg"
        assert pixels_of(Path(started.value.path()).read_bytes()).shape == (4 * SIDE, 4 * SIDE, 3)
        assert "secret" not in page.evaluate("JSON.stringify(localStorage)")


def test_the_demo_model_says_that_prompts_have_no_effect(
    demo_server: Server, server: Server, open_page: Open
) -> None:
    note = "the prompt has no effect"
    expect(open_page(demo_server).get_by_text(note)).to_be_visible()
    page = open_page(server)
    expect(page.get_by_text("narrow")).to_be_visible()
    expect(page.get_by_text(note)).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(server: Server, open_page: Open, scheme: str) -> None:
    page = open_page(server, viewport={"width": 320, "height": 740}, color_scheme=scheme)
    choose(page, 2, {**PHOTOGRAPH, "name": f"{'a-long-name-' * 9}.png"})
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    page.get_by_text("As a program").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    screenshot = Image.open(io.BytesIO(page.screenshot()))
    corner = screenshot.convert("L").getpixel((2, 2))
    assert isinstance(corner, int)
    assert (corner > 128) is (scheme == "light")


def test_the_browser_is_held_to_a_strict_policy(server: Server) -> None:
    for path in ("/", "/page/page.js", "/page/style.css", "/docs", "/docs/files/swagger-ui.css"):
        response = server.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    response = server.get("/page/../page.py")
    assert response.json() == {"detail": {"msg": "Not Found"}}


def files(*names: str) -> list[FilePayload]:
    return [{**PHOTOGRAPH, "name": name} for name in names]


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name)


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
    submit(page)
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


def test_the_api_can_be_browsed_without_another_host(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.goto(f"{server.url}/docs")
    page.get_by_text("/upscale", exact=True).click()
    said = page.get_by_text("Text prompt(s) to guide upscaled image generation.")
    expect(said.first).to_be_visible()
