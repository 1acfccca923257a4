"""The page at `/` for those who do not see it as others do: axe-core finds nothing to mend."""

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.end_to_end.page import LARGE, NO_IMAGE, PHOTOGRAPH, Open, choose, submit
from tests.photographs import file_of
from tests.server import ROOT, Server

AXE = ROOT / "tests" / "end_to_end" / "javascript_sdk" / "node_modules" / "axe-core" / "axe.min.js"
RUN = "async () => (await axe.run({ rules: { 'target-size': { enabled: true } } })).violations"

# The selects that are narrower than what they say.
CUT = """() => [...document.querySelectorAll("select")].filter((select) => {
    const width = select.offsetWidth;
    select.style.width = "max-content";
    const needed = select.offsetWidth;
    select.style.width = "";
    return needed > width;
}).map((select) => select.id)"""


def violations(page: Page) -> list[str]:
    """The rules that do not hold, each with the elements that it names."""
    found = page.evaluate(RUN)
    return [f"{rule['help']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_every_state(server: Server, open_page: Open, scheme: str, width: int) -> None:
    assert AXE.exists(), "`make javascript-sdk` installs what is missing."
    # Without motion, else colours are measured on their way to others.
    page = open_page(
        server,
        is_quiet=False,
        color_scheme=scheme,
        reduced_motion="reduce",
        viewport={"width": width, "height": 800},
    )
    page.evaluate(AXE.read_text())
    expect(page.get_by_text("narrow")).to_be_visible()
    assert violations(page) == [], "empty"

    too_large = file_of(Image.new("L", (2000, 1000)))
    choose(page, 2, {**PHOTOGRAPH, "name": "large.png", "buffer": too_large})
    page.get_by_role("button", name="Crop it").click()
    assert violations(page) == [], "a part is chosen"
    page.keyboard.press("Escape")
    assert violations(page) == [], "too large"

    choose(page, 1000, LARGE)
    assert violations(page) == [], "chosen, with the options"
    submit(page)
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert violations(page) == [], "on its way"
    page.get_by_role("button", name="Close cat").click()

    choose(page, 2)
    submit(page)
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    page.get_by_text("As a program").click()
    assert violations(page) == [], "done"
    assert page.evaluate(CUT) == []

    choose(page, 2, NO_IMAGE)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == [], "no image"
    choose(page, 2)
    page.get_by_label("Seed", exact=True).fill("seven")
    submit(page)
    expect(page.get_by_label("Seed", exact=True)).to_be_focused()
    assert violations(page) == [], "a wrong field"
