"""The page's other screens, and all of them for everybody: phones, both colours, axe-core."""

from __future__ import annotations

import pytest
from page_window import overflow, search_for, status, tiles
from playwright.sync_api import expect


def test_own_pictures(visit, url, my_zip) -> None:
    window, other = visit(url), visit(url)
    window.get_by_role("tab", name="My pictures").click()
    expect(window.locator("#own-notice .status")).to_contain_text("Upload up to 200 pictures")
    window.set_input_files("#own-files input[type=file]", my_zip)
    notice = window.locator("#own-notice .status")
    expect(notice).to_contain_text("9 new pictures, 9 in total.")
    expect(notice).to_contain_text("Cannot read the picture broken.jpg")
    search_for(window, "a blue square", "9 pictures found", "own")
    captions = window.locator("#own-results .tile .caption").all_inner_texts()
    assert sorted(captions[:3]) == ["blue0.png", "blue1.png", "blue2.png"]
    picture = tiles(window, "own").first.locator("img")
    window.wait_for_function("document.querySelector('#own-results img').naturalWidth == 30")
    address = picture.get_attribute("src")
    # Another visitor has none of it.
    other.get_by_role("tab", name="My pictures").click()
    expect(other.locator("#own-text")).to_have_count(0)
    # Gone with the visit.
    assert window.request.get(address).status == 200
    api = other.request
    window.close()
    for _ in range(120):
        if api.get(address).status == 404:
            break
        other.wait_for_timeout(500)
    assert api.get(address).status == 404


def test_own_pictures_are_removed_on_request(visit, url, my_zip) -> None:
    window = visit(url)
    window.get_by_role("tab", name="My pictures").click()
    window.set_input_files("#own-files input[type=file]", my_zip)
    expect(window.locator("#own-notice .status")).to_contain_text("9 in total.")
    search_for(window, "a blue square", "9 pictures found", "own")
    address = tiles(window, "own").first.locator("img").get_attribute("src")
    window.get_by_text("Remove my pictures").click()
    expect(window.locator("#own-notice .status")).to_have_text("Your pictures were removed.")
    assert window.request.get(address).status == 404


# ---- every screen


def test_about(visit, url) -> None:
    window = visit(url)
    window.get_by_role("tab", name="About").click()
    expect(window.locator("#about-card")).to_contain_text("squares")
    programs = window.locator("#about-programs")
    expect(programs).to_contain_text("load('squares')")
    expect(programs).to_contain_text(f"curl -G {url}search -d")


def test_the_page_fits_a_phone(visit, url, red_square) -> None:
    window = visit(url, width=390)
    search_for(window, "a red square", "12 pictures found")
    assert overflow(window) <= 0
    window.set_input_files("#search-picture input[type=file]", red_square)
    expect(status(window)).to_contain_text("12 sentences")
    assert overflow(window) <= 0
    window.locator("#search-options").get_by_text("Filters and options").click()
    expect(window.get_by_label("number input for Number of results").first).to_be_visible()
    assert overflow(window) <= 0
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    expect(viewer).to_be_visible()
    assert viewer.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    viewer.get_by_label("Close").click()
    for tab in ("My pictures", "Compare", "About"):
        window.get_by_role("tab", name=tab).click()
        expect(window.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        assert overflow(window) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(visit, url, red_square, my_zip, scheme) -> None:
    """No serious violation that axe-core finds, on any screen."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def check(screen: str) -> None:
        # Colours that are fading in have another contrast.
        window.wait_for_function("document.getAnimations().every((a) => a.playState != 'running')")
        found = axe.run(window, options={"resultTypes": ["violations"]})
        serious = [
            (screen, rule["id"], [node["html"][:200] for node in rule["nodes"]])
            for rule in found.response["violations"]
            if rule["impact"] in ("serious", "critical")
        ]
        assert serious == []

    window = visit(url, color_scheme=scheme)
    check("start")
    window.set_input_files("#search-picture input[type=file]", red_square)
    expect(status(window)).to_contain_text("12 sentences")
    search_for(window, "a red square wug", "does not know them")
    window.locator("#search-options").get_by_text("Filters and options").click()
    expect(window.get_by_label("number input for Number of results").first).to_be_visible()
    check("found")
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    viewer.get_by_text("Why this picture?").click()
    expect(viewer.locator("img.heat")).to_be_visible()
    check("viewer")
    viewer.get_by_label("Close").click()
    search_for(window, "wug", "No word of the text")
    check("error")
    window.get_by_role("tab", name="My pictures").click()
    window.set_input_files("#own-files input[type=file]", my_zip)
    expect(window.locator("#own-notice .status")).to_contain_text("9 in total.")
    check("my pictures")
    for tab in ("Compare", "About"):
        window.get_by_role("tab", name=tab).click()
        expect(window.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        check(tab)
