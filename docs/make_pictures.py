"""Draw the pictures of the documentation with Debian's Chromium: `make pictures`.

They show only the contents of the package, the sketches and the stored results.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from PIL import Image

from cmr_hub import load
from cmr_hub.apps.search_page import build_page, serve
from cmr_hub.gallery.contact_sheet import contact_sheet
from cmr_hub.models.names import PICTURES
from cmr_hub.releases import PHOTOS, release_directory
from cmr_hub_sketches.contact_sheet import save_contact_sheet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
QUERY = "boats on the water"
COLOURS = 128
"""Size of the palette; it is sufficient for drawings and reduces the file size to a third."""
CURVES = [
    f"{method} · concat · mobilenet_v2_fine · 800/200 · pascal-sentence"
    for method in ("acmr-paper", "correlation", "mmd")
]
MAP = ".st-key-map-figure .js-plotly-plot"
# Return the position of a point of the map in the window.
POINT = """([selector, place]) => {
    const plot = document.querySelector(selector), layout = plot._fullLayout;
    const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
    for (const trace of plot._fullData) {
        const n = Array.from(trace.customdata ?? []).indexOf(place);
        if (n >= 0) return [
            box.x + layout.xaxis.d2p(trace.x[n]), box.y + layout.yaxis.d2p(trace.y[n])];
    }
}"""


def main() -> None:
    """Draw all pictures."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs a browser: install Debian's package chromium")
    save_contact_sheet(DOCS / "sketches.png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        contact_sheet_picture(browser)
        search_page_picture(browser)
        with dashboard() as address:
            dashboard_pictures(browser, address)
        browser.close()


def window(browser: Browser, address: str, width: int, height: int) -> Page:
    """Open a page in a new window."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)
    page.goto(address)
    return page


def keep(page: Page, name: str) -> None:
    """Save a screenshot of a window."""
    path = DOCS / name
    page.screenshot(path=path)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    page.close()
    print(f"Wrote {path.relative_to(ROOT)}")


def contact_sheet_picture(browser: Browser) -> None:
    """Draw the page that `cmr search photos QUERY -k 8 --html hits.html` writes."""
    hits = load().search(QUERY, k=8)
    text = contact_sheet(hits, QUERY)
    # Remove the local path of the package.
    text = text.replace(f"{release_directory(PHOTOS) / PICTURES}/", "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "hits.html")
        file.write_text(text, encoding="utf-8")
        keep(window(browser, file.as_uri(), 1000, 720), "contact-sheet.png")


def search_page_picture(browser: Browser) -> None:
    """Draw the search page of `make demo` after a query."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        shown = build_page(load())
        try:
            page = window(
                browser, serve(shown, host="127.0.0.1", port=None, block=False), 1280, 960
            )
            box = page.locator("#search-text textarea")
            box.fill(QUERY)
            box.press("Enter")
            page.locator("#search-results .tile img").nth(7).wait_for()
            page.wait_for_timeout(2000)
            keep(page, "search-page.png")
        finally:
            shown.close()


@contextmanager
def dashboard() -> Iterator[str]:
    """Run `cmr dashboard` and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from cmr_hub.cli import main; main()", "dashboard"]
    with subprocess.Popen([*command, f"--port={port}"], cwd=ROOT) as server:
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health"):
                        break
                except OSError:
                    if server.poll() is not None:
                        sys.exit("the dashboard has stopped")
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def dashboard_pictures(browser: Browser, address: str) -> None:
    """Draw the dashboard: the tables of the study, the common space and single queries."""
    for name, query, height in (
        ("overview", "", 1180),
        ("ablations", "ablations?method=acmr-paper&by=texts", 1000),
        ("training", "training?" + urlencode({"run": CURVES, "smoothing": 0.5}, doseq=True), 1080),
    ):
        page = window(browser, f"{address}/{query}", 1280, height)
        page.get_by_role("link", name="Common space").wait_for()
        page.locator("table, .js-plotly-plot, [data-testid=stDataFrame]").first.wait_for()
        page.wait_for_timeout(3000)
        keep(page, f"dashboard-{name}.png")
    page = window(browser, f"{address}/space?space=model+sketch&method=t-SNE", 1280, 1160)
    page.get_by_role("link", name="Common space").wait_for()
    page.locator(f"{MAP} .gl-container canvas").first.wait_for()
    page.locator(f"{MAP} .nsewdrag").first.wait_for()
    page.wait_for_timeout(2000)
    x, y = page.evaluate(POINT, [MAP, 5])
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=3)
    page.locator(".card img").wait_for()
    page.wait_for_timeout(1000)
    keep(page, "dashboard-space.png")
    page = window(browser, f"{address}/explorer?space=model+sketch&way=text→image", 1280, 1500)
    page.get_by_role("link", name="Common space").wait_for()
    page.locator(".cmr-card img").nth(11).wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_timeout(2000)
    keep(page, "dashboard-explorer.png")


if __name__ == "__main__":
    main()
