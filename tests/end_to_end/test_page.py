"""The page at `/` as a person uses it, in a real browser."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.end_to_end.conftest import TOKEN
from tests.end_to_end.page import NO_IMAGE, PHOTOGRAPH, SIDE, Open, choose, submit
from tests.photographs import file_of, pixels_of
from tests.server import Server

WRONG_NOISE = {"detail": {"msg": "noise_level is 9; at most 8 is allowed."}}
SEED = str(2**62 + 1)  # more than JavaScript's numbers hold
HEALTH_INTERVAL_MS = 2000  # of the page, while the server is not ready

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
# The colours of an image's first and last pixel.
CORNERS = """image => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const options = { willReadFrequently: true };
    const canvas = new OffscreenCanvas(width, height).getContext("2d", options);
    canvas.drawImage(image, 0, 0);
    const pixel = (x, y) => [...canvas.getImageData(x, y, 1, 1).data];
    return [pixel(0, 0), pixel(width - 1, height - 1)];
}"""


def test_from_a_file_to_a_download(server: Server, open_page: Open) -> None:
    page = open_page(server)
    expect(page.get_by_text("narrow")).to_be_visible()
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    choose(page, steps=100)
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
    fields = {"prompt": "a cat", "seed": SEED, "num_inference_steps": 100}
    assert content == server.upscale(PHOTOGRAPH["buffer"], **fields)


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
    choose(page, 2, NO_IMAGE)
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


def test_the_part_of_an_image_that_is_too_large(server: Server, open_page: Open) -> None:
    """Chosen by pointer or keys, cut out pixel by pixel."""
    page = open_page(server)
    y, x = np.indices((1000, 2000))
    pixels = np.dstack([x % 256, y % 256, x // 256 + y // 256 * 16]).astype(np.uint8)
    large = file_of(Image.fromarray(pixels))
    choose(page, 2, {"name": "x.png", "mimeType": "image/png", "buffer": large})
    crop = page.get_by_role("button", name="Crop it")
    crop.click()
    dialog = page.get_by_role("dialog", name="Crop")
    expect(dialog).to_contain_text("1448 × 724 of 2000 × 1000")
    left, top = dialog.get_by_label("From the left"), dialog.get_by_label("From the top")
    assert (left.input_value(), top.input_value()) == ("276", "138")
    box = page.locator("#crop-area").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"])
    page.mouse.up()
    assert (left.input_value(), top.input_value()) == ("552", "276")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("2000 × 1000, becomes")).to_be_visible()
    expect(crop).to_be_focused()
    page.keyboard.press("Enter")
    left.press("Home")
    left.press("ArrowRight")
    top.press("End")
    top.press("Enter")
    expect(page.get_by_text("x-cropped.png, 1448 × 724, becomes 5792 × 2896")).to_be_visible()
    expect(page.get_by_role("button", name="Upscale")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_hidden()
    first, last = page.locator("#thumbnail").evaluate(CORNERS)
    assert first == [*pixels[276, 1], 255]
    assert last == [*pixels[999, 1448], 255]


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
    page.clock.install()
    page.reload()
    choose(page, 2)
    expect(page.get_by_text("The model is loading.")).to_be_visible()
    stage = {"status": "LOADING", "stage": "Triton loads the engines"}
    page.route("**/health", lambda route: route.fulfill(status=503, json=stage))
    page.clock.run_for(HEALTH_INTERVAL_MS)
    expect(page.get_by_text("The model is loading: Triton loads the engines.")).to_be_visible()
    expect(page.get_by_role("button", name="Upscale")).to_be_disabled()
    page.unroute("**/health")
    page.clock.run_for(HEALTH_INTERVAL_MS)
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


def test_a_token_is_asked_for_and_kept_for_the_tab(http_server: Server, open_page: Open) -> None:
    """With the other settings that the page meets: results as links, all of HTTP's statuses."""
    page = open_page(http_server, is_quiet=False)
    choose(page, 2)
    expect(page.get_by_label("Token")).to_be_hidden()
    submit(page)
    expect(page.get_by_label("Token")).to_be_focused()
    page.get_by_label("Token").fill("wrong")
    submit(page)
    expect(page.get_by_role("alert")).to_have_text("Invalid bearer token.")
    page.get_by_label("Token").fill(TOKEN)
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
    assert TOKEN not in page.evaluate("JSON.stringify(localStorage)")


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


def test_the_api_can_be_browsed_without_another_host(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.goto(f"{server.url}/docs")
    page.get_by_text("/upscale", exact=True).click()
    said = page.get_by_text("Text prompt(s) to guide upscaled image generation.")
    expect(said.first).to_be_visible()
