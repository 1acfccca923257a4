"""Pictures as headless Chromium draws them."""

import base64

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

PROGRAM = "/usr/bin/chromium"
# One page for all: each picture is drawn on white and read back; one that cannot be is null.
DRAW = """async files => Promise.all(files.map(async url => {
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch { return null; }
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.height, canvas.width, btoa(String.fromCharCode(...pixels))];
}))"""


def drawn(files: list[tuple[str, bytes]]) -> list[NDArray[np.uint8] | None]:
    """files: media type and content -> uint8 [H, W, 3] each, or None where it is no picture."""
    urls = [f"data:{kind};base64,{base64.b64encode(data).decode()}" for kind, data in files]
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--force-color-profile=srgb"]
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        results = browser.new_page().evaluate(DRAW, urls)
        browser.close()
    return [None if result is None else _pixels(*result) for result in results]


def _pixels(height: int, width: int, encoded: str) -> NDArray[np.uint8]:
    rgba = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(height, width, 4)
    return rgba[..., :3]
