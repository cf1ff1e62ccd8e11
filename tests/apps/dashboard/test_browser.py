"""What only a browser shows: hovering, selecting, sliding, live updates, and nothing fetched."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect
from served import free_port, served

from cmr_hub.training.checkpoint import Progress, write_checkpoint

expect.set_options(timeout=30_000)

PLOT = ".st-key-map-figure .js-plotly-plot"


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trainings")


@pytest.fixture(scope="module")
def address(
    study: Path, sketches: Path, trainings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The dashboard as `cmr dashboard` serves it."""
    port = free_port()
    command = [
        sys.executable,
        "-c",
        "from cmr_hub.cli import main; main()",
        "dashboard",
        f"--port={port}",
    ]
    command += [f"--results={study}", f"--model={sketches}", f"--model={trainings}"]
    environment = os.environ | {"CMR_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    options = {"stdout": subprocess.DEVNULL, "env": environment}
    with served(command, port, path="/_stcore/health", **options) as url:
        yield url


@pytest.fixture
def look(browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page. At the end no error was in the console and no other machine was asked."""
    errors: list[str] = []
    hosts: set[str | None] = set()
    with ExitStack() as windows:

        def open_page(path: str, width: int = 1280) -> Page:
            context = browser.new_context(viewport={"width": width, "height": 1200})
            windows.callback(context.close)
            context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
            page = context.new_page()
            page.set_default_timeout(40_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    # Streamlit looks below a page's own address first.
                    message.type == "error"
                    and "_stcore" not in message.location["url"]
                    and errors.append(message.text)
                ),
            )
            page.goto(f"{address}/{path}")
            page.locator("h1").wait_for()
            return page

        yield open_page
    assert errors == []
    assert hosts <= {"127.0.0.1", None}


def test_a_link_leads_to_a_page_with_its_style_and_navigation(look) -> None:
    page = look("explorer?way=text→image")
    expect(page.get_by_role("link", name="Common space")).to_be_visible()
    expect(page.locator(".cmr-card").first).to_have_css("display", "flex")


def test_the_theme_is_the_browsers(browser, address: str) -> None:
    def lightness(scheme: str) -> int:
        with browser.new_context(color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(address)
            page.locator("h1").wait_for()
            colour = page.locator("[data-testid=stApp]").evaluate(
                "app => getComputedStyle(app).backgroundColor"
            )
        return int(re.findall(r"\d+", colour)[0])

    assert lightness("dark") < 64
    assert lightness("light") > 192


def place_of(page: Page, place: int) -> tuple[float, float]:
    """Where a point is drawn, in the window."""
    page.locator(f"{PLOT} .nsewdrag").first.wait_for()
    found = page.evaluate(
        """([selector, place]) => {
            const plot = document.querySelector(selector), layout = plot._fullLayout;
            const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
            for (const trace of plot._fullData) {
                const n = Array.from(trace.customdata ?? []).indexOf(place);
                if (n >= 0) return [
                    box.x + layout.xaxis.d2p(trace.x[n]), box.y + layout.yaxis.d2p(trace.y[n])];
            }
        }""",
        [PLOT, place],
    )
    assert found is not None
    return found[0], found[1]


def open_space(look: Callable[..., Page], sketches: Path) -> Page:
    page = look(f"space?space=model+{sketches}")
    page.locator(f"{PLOT} .gl-container canvas").first.wait_for()
    return page


def test_hovering_shows_the_picture_and_the_sentences(look, sketches: Path) -> None:
    page = open_space(look, sketches)
    card = page.locator(".card")
    expect(card).to_contain_text("Point at a dot")
    x, y = place_of(page, 0)
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=3)
    expect(card.locator(".id")).to_have_text(re.compile(r"sketch-\d+"))
    expect(card.locator(".head")).to_have_text(re.compile(r"^(image|text) · "))
    expect(card.locator(".sentences p").first).to_be_visible()
    picture = card.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.naturalWidth") > 50
    first = card.locator(".id").text_content()
    x, y = place_of(page, 120)
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=3)
    expect(card.locator(".id")).not_to_have_text(first or "")


def test_a_box_selects_items_with_their_pictures(look, sketches: Path) -> None:
    page = open_space(look, sketches)
    page.locator(PLOT).hover()
    page.locator(f"{PLOT} .modebar-btn[data-title='Box Select']").click()
    x, y = place_of(page, 0)
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    page.mouse.move(x + 40, y + 40, steps=8)
    page.mouse.up()
    expect(page.get_by_role("heading", name=re.compile(r"^\d+ selected"))).to_be_visible()
    cards = page.locator(".cmr-card")
    expect(cards.first).to_be_visible()
    assert cards.count() >= 1
    assert "sketch-" in (cards.first.text_content() or "")


def test_a_lasso_selects_too(look, sketches: Path) -> None:
    page = open_space(look, sketches)
    page.locator(PLOT).hover()
    page.locator(f"{PLOT} .modebar-btn[data-title='Lasso Select']").click()
    x, y = place_of(page, 0)
    page.mouse.move(x - 50, y - 50)
    page.mouse.down()
    for dx, dy in ((50, -50), (50, 50), (-50, 50), (-50, -50)):
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    expect(page.get_by_role("heading", name=re.compile(r"^\d+ selected"))).to_be_visible()


def test_the_epochs_slide(look, sketches: Path) -> None:
    page = open_space(look, sketches)
    gap = page.locator("[data-testid=stMetricValue]").first
    after = gap.text_content()
    where = place_of(page, 0)
    slider = page.get_by_role("slider", name="Epoch")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("before training").first).to_be_visible()
    expect(gap).not_to_have_text(after or "")
    page.wait_for_function(
        """([selector, x]) => {
            const plot = document.querySelector(selector);
            const trace = plot?._fullData?.find(t => Array.from(t.customdata ?? []).includes(0));
            if (!trace || !plot.querySelector(".nsewdrag")) return false;
            const n = Array.from(trace.customdata).indexOf(0);
            const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
            return Math.abs(box.x + plot._fullLayout.xaxis.d2p(trace.x[n]) - x) > 1;
        }""",
        arg=[PLOT, where[0]],
    )
    assert "epoch=before+training" in page.url
    # The address alone brings the same view back.
    again = look(page.url.split("/", 3)[3])
    expect(again.get_by_text("before training").first).to_be_visible()
    before = gap.text_content()
    expect(again.locator("[data-testid=stMetricValue]").first).to_have_text(before or "")


def test_a_map_is_waited_for(look, sketches: Path) -> None:
    page = look(f"space?space=model+{sketches}&method=PCA")
    expect(page.locator(f"{PLOT} .gl-container canvas").first).to_be_visible(timeout=120_000)


def test_a_bar_opens_its_runs(look) -> None:
    page = look("ablations")
    bar = page.locator(".st-key-bars-figure .barlayer .point path").first
    bar.wait_for()
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + box["height"] / 2)
    expect(page.get_by_role("link", name="Training curves of these runs")).to_be_visible()
    page.get_by_role("link", name="Training curves of these runs").click()
    expect(page.get_by_role("heading", name="Training curves")).to_be_visible()
    assert "run=" in page.url
    expect(page.locator(".st-key-curve-loss-figure .scatterlayer path").first).to_be_attached()


def test_a_training_is_drawn_as_it_goes_on(look, trainings: Path) -> None:
    def trained(epochs: int) -> None:
        history = [
            {"phase": "select", "epoch": epoch, "loss": 1 / epoch} for epoch in range(1, epochs + 1)
        ]
        (trainings / "pets.checkpoints").mkdir(exist_ok=True)
        write_checkpoint(
            trainings / "pets.checkpoints" / "select.safetensors",
            "key",
            Progress(epoch=epochs, history=history),
            {},
        )

    trained(2)
    page = look("training")
    plot = ".st-key-curve-loss-figure .js-plotly-plot"
    count = f"() => document.querySelector('{plot}')?.data[0].x.length"
    page.wait_for_function(f"() => ({count})() === 2")
    trained(5)
    page.wait_for_function(f"() => ({count})() === 5")


def test_figures_are_saved(look) -> None:
    page = look("ablations")
    page.locator(".st-key-bars-figure .barlayer").wait_for()
    page.get_by_text("Save figure").click()
    with page.expect_download() as got:
        page.get_by_role("button", name="HTML, self-contained").click()
    text = Path(got.value.path()).read_text(encoding="utf-8")
    assert got.value.suggested_filename == "map-all-average.html"
    assert "Plotly.newPlot" in text
    page.get_by_role("radio", name="SVG").click()
    page.keyboard.press("Escape")
    # For a moment the figure that goes is there beside the one that comes.
    page.wait_for_function(
        "() => { const plots = document.querySelectorAll('.st-key-bars-figure .js-plotly-plot');"
        " return plots.length === 1"
        " && plots[0]._context?.toImageButtonOptions.format === 'svg'; }"
    )
    page.locator(".st-key-bars-figure .js-plotly-plot").hover()
    camera = page.locator(".st-key-bars-figure .modebar-btn").first
    with page.expect_download() as got:
        camera.click()
    assert got.value.suggested_filename == "map-all-average.svg"
    assert Path(got.value.path()).read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", ["", "ablations", "training", "explorer", "gallery"])
def test_nothing_is_wider_than_the_window(path: str, width: int, look) -> None:
    page = look(path, width=width)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        (None, None, 101),
        ("other.example", None, 403),
        ("other.example", "http://other.example", 403),
        (None, "http://other.example", 403),
    ],
)
def test_other_hosts_and_origins_have_no_live_connection(
    address: str, host: str | None, origin: str | None, code: int
) -> None:
    there = urlsplit(address)
    with socket.create_connection((there.hostname, there.port), timeout=30) as line:
        line.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host or there.netloc}\r\n"
            f"Origin: {origin or f'http://{there.netloc}'}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert int(line.recv(100).split()[1]) == code


def test_no_origin_is_echoed(address: str) -> None:
    asked = {"Origin": "http://other.example"}
    answer = httpx.get(f"{address}/_stcore/health", headers=asked, timeout=30)
    assert "Access-Control-Allow-Origin" not in answer.headers
