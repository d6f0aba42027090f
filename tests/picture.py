"""Draws README.jpg: the gallery of four prompts with six seeds, as a browser shows it.

python tests/picture.py runs/sandbox/shots README.jpg
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, ViewportSize, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEW = ViewportSize(width=1216, height=900)
SCALE = 1.5
QUALITY = 82
READY = "Array.from(document.images).every((image) => image.complete && image.naturalWidth > 0)"
BOTTOM = "document.querySelector('.canvas').getBoundingClientRect().bottom"
WIDTH = "document.documentElement.clientWidth"


def draw(out: Path, target: Path) -> None:
    """The page from its head to its last row, in the light theme."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("A browser is needed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=VIEW, device_scale_factor=SCALE, color_scheme="light")
        page.goto((out / "index.html").resolve().as_uri())
        page.wait_for_selector(".tile img")
        while not page.evaluate(READY):
            page.wait_for_timeout(50)
        whole = FloatRect(x=0, y=0, width=page.evaluate(WIDTH), height=page.evaluate(BOTTOM) + 8)
        page.screenshot(path=target, type="jpeg", quality=QUALITY, clip=whole)
        chromium.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
