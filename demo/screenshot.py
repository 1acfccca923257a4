"""A picture of the page with a finished result, for the README; needs a running server.

python -m demo.screenshot docs/page.png --url http://127.0.0.1:8000
"""

import io
import shutil
from pathlib import Path
from typing import Annotated

import skimage.data
import typer
from PIL import Image
from playwright.sync_api import sync_playwright

SIDE = 128
WIDTH, HEIGHT = 1120, 800
TIMEOUT_MS = 300_000


def photograph() -> bytes:
    """The middle of scikit-image's cat, which the demo model has not seen, 128 x 128, as PNG."""
    cat = Image.fromarray(skimage.data.cat())
    left = (cat.width - cat.height) // 2
    square = cat.crop((left, 0, left + cat.height, cat.height))
    file = io.BytesIO()
    square.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def main(path: Path, url: Annotated[str, typer.Option()] = "http://127.0.0.1:8000") -> None:
    """Upscale a photograph on the page and write what a person sees as a PNG of 256 colours."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.get_by_label("Choose an image").set_input_files(
            {"name": "cat.png", "mimeType": "image/png", "buffer": photograph()}
        )
        page.get_by_text("Options").click()
        page.get_by_label("Steps").fill("20")
        page.get_by_label("Seed").fill("0")
        page.get_by_role("button", name="Upscale").click(timeout=TIMEOUT_MS)
        page.get_by_role("link", name="Download").wait_for(timeout=TIMEOUT_MS)
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        browser.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    shot.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    typer.run(main)
