"""The page as a person uses it, in Chromium."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from heic import HEIC
from page_window import classes, first_is, overflow, search_for, set_number, status, tiles
from PIL import Image
from playwright.sync_api import expect

from cmr_hub.apps.search_page.page import EMPTY
from cmr_hub.datasets.images import read_image
from cmr_hub.gallery.clear import Neutral

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}
MARKUP = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `tick`"


# ---- search


def test_a_person_searches_for_a_sentence(visit, url) -> None:
    window = visit(url)
    expect(status(window)).to_have_text(EMPTY)
    expect(tiles(window)).to_have_count(12)
    search_for(window, "a green square, wug", "does not know them: wug.")
    expect(status(window)).to_contain_text("12 pictures found in")
    assert classes(window)[:4] == ["green"] * 4
    picture = tiles(window).first.locator("img")
    expect(picture).to_have_attribute("alt", "a green square")
    window.wait_for_function(
        "document.querySelector('#search-results .tile img').naturalWidth == 40"
    )
    score = float(tiles(window).first.locator(".score").inner_text())
    assert -1 <= score <= 1
    assert window.evaluate("document.documentElement.lang") == "en"


def test_errors_are_sentences_on_the_page(visit, url) -> None:
    window = visit(url)
    search_for(window, "wug blick", "No word of the text is known to this model: wug, blick")
    search_for(window, "x" * 100_000, "The text has 100,000 characters, and a query may have")
    search_for(window, "\u202eقطة 😀", "No word of the text is known")
    search_for(window, "a red square \u0007\u0001", "12 pictures found")
    search_for(window, f"{MARKUP} wug", "No word of the text is known to this")
    expect(tiles(window)).to_have_count(0)
    search_for(window, "", EMPTY)
    expect(tiles(window)).to_have_count(12)
    assert "Traceback" not in window.content()


def test_a_person_clicks_an_example(visit, url) -> None:
    window = visit(url)
    example = window.locator("#search-examples .chips button").first
    sentence = example.inner_text()
    example.click()
    expect(status(window)).to_contain_text("12 pictures found")
    expect(window.locator("#search-text textarea")).to_have_value(sentence)


def test_a_person_uploads_a_picture(visit, url, red_square) -> None:
    window = visit(url)
    window.set_input_files("#search-picture input[type=file]", red_square)
    expect(status(window)).to_contain_text("12 pictures and 12 sentences found")
    rows = window.locator("#search-results tbody tr")
    expect(rows).to_have_count(12)
    heads = window.locator("#search-results thead th").all_inner_texts()
    assert [head.lower() for head in heads] == ["rank", "id", "class", "sentences"]
    assert rows.first.locator("td").nth(0).inner_text() == "1"
    assert rows.first.locator("td p").all_inner_texts() == ["a red square", "paper all red"]
    assert rows.locator("td.class").all_inner_texts()[:4] == ["red"] * 4
    assert classes(window)[:4] == ["red"] * 4
    # Words are added to it.
    search_for(window, "a red square wug", "does not know them: wug")
    expect(status(window)).to_contain_text("12 pictures and 12 sentences found")
    window.locator("#search-text textarea").fill("")
    window.locator("#search-picture").get_by_label("Remove Image").click()
    expect(rows).to_have_count(0)
    expect(status(window)).to_have_text(EMPTY)


def test_files_that_are_no_pictures(visit, url, fake_picture, tmp_path) -> None:
    window = visit(url)
    window.set_input_files("#search-picture input[type=file]", fake_picture)
    expect(status(window)).to_contain_text(
        "Cannot read the picture fake.jpg: it is not a JPEG, PNG"
    )
    expect(status(window)).to_have_attribute("data-tone", "error")


def test_options(visit, url) -> None:
    window = visit(url)
    search_for(window, "a red square", "12 pictures found")
    window.locator("#search-options").get_by_text("Filters and options").click()
    set_number(window, "Number of results", "3")
    search_for(window, "a red square", "3 pictures found")
    window.get_by_label("Class", exact=True).first.click()
    window.get_by_role("option", name="blue").first.click()
    first_is(window, "blue")
    assert classes(window) == ["blue"] * 3
    window.get_by_label("Sentences", exact=True).first.check()
    expect(status(window)).to_contain_text("3 sentences found")
    expect(window.locator("#search-results tbody tr")).to_have_count(3)
    window.get_by_label("Pictures", exact=True).first.check()
    expect(status(window)).to_contain_text("3 pictures found")
    set_number(window, "Minimum score", "1")
    search_for(window, "a red square", "Nothing was found; remove a filter")


def test_more_like_this(visit, url) -> None:
    window = visit(url)
    search_for(window, "a blue square", "12 pictures found")
    name = tiles(window).first.locator("img").get_attribute("src")
    tiles(window).first.get_by_text("More like this").click()
    chip = window.locator("#search-results .chip")
    expect(chip).to_contain_text("More like blue")
    first_is(window, "blue")
    assert name not in [
        picture.get_attribute("src") for picture in tiles(window).locator("img").all()
    ]
    chip.get_by_text("Back").click()
    expect(status(window)).to_contain_text("12 pictures found")
    expect(chip).to_be_hidden()
    expect(tiles(window).first.locator("img")).to_have_attribute("src", name)


# ---- one's own gallery


@pytest.fixture(scope="module")
def own_url(serve_page, model, photographs) -> str:
    searched = copy.copy(model)
    searched.gallery = photographs
    return serve_page(searched, name="squares", gallery="my photographs", is_private=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_finds_a_photograph_again(visit, own_url, model, photographs, width) -> None:
    """By a sentence and a day; opens it, copies its path, and comes back by the address."""
    window = visit(own_url, width, permissions=["clipboard-read", "clipboard-write"])
    expect(window.locator("h1")).to_have_text("my photographs")
    expect(window.locator(".head")).to_contain_text("12 pictures · model squares")
    expect(tiles(window)).to_have_count(12)
    example = window.locator("#search-examples .chips button").first
    example.click()
    expect(window.locator("#search-text textarea")).to_have_value(example.inner_text())
    search_for(window, "a red square", "12 pictures found")
    window.locator("#search-options").get_by_text("Filters and options").click()
    day = window.get_by_label("Taken from").first
    expect(day).to_have_attribute("placeholder", "2021-06-01")
    day.focus()
    expect(day).to_have_attribute("type", "date")
    day.fill("2021-06-03")
    expect(status(window)).to_contain_text("10 pictures found")
    window.get_by_label("Camera", exact=True).first.click()
    window.get_by_role("option", name="Pixel 6").first.click()
    expect(status(window)).to_contain_text("5 pictures found")
    address = window.url
    assert parse_qs(urlsplit(address).query) == {
        "q": ["a red square"],
        "where": ["camera IN ('Pixel 6') AND taken >= '2021-06-03'"],
    }
    assert overflow(window) <= 0
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    expect(viewer).to_contain_text("Pixel 6")
    expect(viewer).to_contain_text("June 2021, 14:30")
    expect(viewer.get_by_text("48.2, 16.")).to_have_attribute(
        "href", re.compile("openstreetmap.org/.mlat=48.2&mlon=16")
    )
    viewer.get_by_text("Copy path").click()
    expect(viewer.get_by_text("Copied")).to_be_visible()
    path = window.evaluate("navigator.clipboard.readText()")
    assert path in photographs.items["path"].to_pylist()
    expect(viewer.locator(".path")).to_have_text(path)
    with window.context.expect_page() as opened:
        viewer.get_by_text("Open picture").click()
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("document.images[0].naturalWidth") == 40
    opened.value.close()
    viewer.get_by_label("Close").click()
    first = tiles(window).first.locator("img").get_attribute("src")
    window.go_back()
    expect(status(window)).to_contain_text("10 pictures found")
    window.go_forward()
    expect(status(window)).to_contain_text("5 pictures found")
    again = visit(address, width)
    expect(status(again)).to_contain_text("5 pictures found")
    expect(again.locator("#search-text textarea")).to_have_value("a red square")
    expect(tiles(again).first.locator("img")).to_have_attribute("src", first)


def test_more_results(visit, own_url) -> None:
    window = visit(f"{own_url}?q=a+red+square&k=3")
    expect(tiles(window)).to_have_count(3)
    kept = tiles(window).first.element_handle()
    window.get_by_text("More results").click()
    expect(tiles(window)).to_have_count(12)
    assert kept.evaluate("node => node.isConnected")
    assert "k=27" in window.url
    expect(window.get_by_text("More results")).to_be_hidden()


@pytest.mark.parametrize("name", ["red.tiff", "IMG_1.HEIC"])
def test_a_picture_that_browsers_do_not_show(visit, url, red_square, tmp_path, name) -> None:
    if name.endswith(".HEIC"):
        (tmp_path / name).write_bytes(HEIC)
    else:
        with Image.open(red_square) as picture:
            picture.save(tmp_path / name)
    window = visit(url)
    expect(tiles(window)).to_have_count(12)
    window.set_input_files("#search-picture input[type=file]", tmp_path / name)
    expect(status(window)).to_contain_text("12 pictures and 12 sentences found")
    width = read_image(tmp_path / name).width
    shown = "document.querySelector('#search-picture img').naturalWidth"
    window.wait_for_function(f"{shown} == {width}")


def test_a_heic_is_dropped(visit, url) -> None:
    """A browser that does not know HEIC says nothing of its type."""
    window = visit(url)
    expect(tiles(window)).to_have_count(12)
    window.evaluate(
        """data => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(data)], "IMG_2.HEIC"));
            const box = document.querySelector("#search-picture button");
            box.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        [*HEIC],
    )
    expect(status(window)).to_contain_text("12 pictures and 12 sentences found")


# ---- understand


def test_why_a_result(visit, url) -> None:
    window = visit(url)
    search_for(window, "a red square wug", "12 pictures found")
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    expect(viewer).to_be_visible()
    expect(viewer.locator("h2")).to_have_text("red")
    expect(viewer.locator(".words .word")).to_have_text(["a", "red", "square", "wug"])
    expect(viewer.locator(".words .unknown")).to_contain_text("unknown")
    expect(viewer).to_contain_text("Query: red")
    expect(viewer).to_contain_text("This result: red")
    expect(viewer.locator(".strip li")).to_have_count(6)
    expect(viewer.locator(".texts li")).to_have_count(6)


def test_where_a_picture_is_alike(visit, url, red_square) -> None:
    window = visit(url)
    window.set_input_files("#search-picture input[type=file]", red_square)
    expect(status(window)).to_contain_text("12 pictures and 12 sentences found")
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    viewer.get_by_text("Why this picture?").click()
    expect(viewer.locator("img.heat")).to_be_visible()
    viewer.get_by_text("Why this picture?").click()
    expect(viewer.locator("img.heat")).to_have_count(0)


def test_words_and_places_within_the_noise(visit, url, model, monkeypatch) -> None:
    loud = Neutral(np.zeros(model.dim, np.float32), 9 * np.eye(model.dim, dtype=np.float32))
    monkeypatch.setattr(model.gallery.store, "_neutral", loud)
    window = visit(url)
    search_for(window, "a red square", "12 pictures found")
    tiles(window).first.locator("button.open").click()
    words = window.locator("#search-viewer dialog .words")
    expect(words.locator("xpath=..")).to_contain_text("Nothing stands out")
    expect(words.locator(".bar span").first).to_have_attribute(
        "style", re.compile("^inline-size: 0%;?$")
    )
    viewer = window.locator("#search-viewer dialog")
    viewer.get_by_text("Why this picture?").click()
    expect(viewer.locator(".legend")).to_contain_text("Nothing stands out")
    expect(viewer.locator("img.heat")).to_have_count(0)


def test_from_result_to_result_with_the_keyboard_alone(visit, url) -> None:
    window = visit(url)
    box = window.locator("#search-text textarea")
    box.focus()
    window.keyboard.type("a green square")
    window.keyboard.press("Enter")
    expect(status(window)).to_contain_text("12 pictures found")
    for _ in range(60):
        window.keyboard.press("Tab")
        label = window.evaluate("document.activeElement.getAttribute('aria-label')") or ""
        if label.startswith("Open result 1:"):
            break
    else:
        pytest.fail("the first result cannot be reached with the Tab key")
    window.keyboard.press("Enter")
    viewer = window.locator("#search-viewer dialog")
    expect(viewer.locator("header .small")).to_contain_text("Result 1 ·")
    window.keyboard.press("ArrowRight")
    expect(viewer.locator("header .small")).to_contain_text("Result 2 ·")
    window.keyboard.press("ArrowLeft")
    expect(viewer.locator("header .small")).to_contain_text("Result 1 ·")
    window.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    assert "Open result 1:" in window.evaluate("document.activeElement.getAttribute('aria-label')")
    # The same one again: it opens again.
    window.keyboard.press("Enter")
    expect(viewer).to_be_visible()


def test_a_neighbour_and_more_like_it(visit, url) -> None:
    window = visit(url)
    search_for(window, "a red square", "12 pictures found")
    tiles(window).first.locator("button.open").click()
    viewer = window.locator("#search-viewer dialog")
    expect(viewer).to_be_visible()
    before = viewer.locator("header .small").inner_text()
    viewer.locator(".strip button").last.click()
    expect(viewer.locator("header .small")).not_to_have_text(before)
    viewer.get_by_text("More like this").click()
    expect(viewer).to_be_hidden()
    expect(window.locator("#search-results .chip")).to_contain_text("More like")


def test_markup_in_the_gallery_is_shown_as_text(visit, url, model) -> None:
    hit = next(hit for hit in model.search("green", k=12, target="text") if hit.id == "green-11")
    window = visit(url)
    window.set_input_files("#search-picture input[type=file]", hit.path)
    row = window.locator("#search-results tr", has_text="green-11")
    expect(row.locator("td p")).to_have_text(f"a green square {MARKUP}")
    row.get_by_text("green-11").click()
    viewer = window.locator("#search-viewer dialog")
    expect(viewer).to_contain_text(f"a green square {MARKUP}")
    assert window.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_two_models_side_by_side(visit, url) -> None:
    window = visit(url)
    window.get_by_role("tab", name="Compare").click()
    box = window.locator("#compare-text textarea")
    box.fill("a red square")
    box.press("Enter")
    for side in ("first", "second"):
        said = window.locator(f"#compare-{side} .status")
        expect(said).to_contain_text("12 pictures found")
        expect(said).to_contain_text("12 of them are in both lists.")
        expect(window.locator(f"#compare-{side} .tile .class").first).to_have_text("red")
    expect(window.get_by_label("The second model")).to_have_value("other")


def test_the_search_of_2019(data_home, mobilenet_weights, serve_page, visit) -> None:
    from cmr_hub.datasets import load_dataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.encoders.texts.bow import BowEncoder
    from cmr_hub.experiments.run import run_experiment
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.training.presets import PRESETS

    dataset = load_dataset("pascal-sentence", data_home / "pascal-sentence", "800/200")
    test, cache = dataset.split("test"), FeatureCache()
    # A third of the training pairs: enough for this, and the features take time.
    some = dataset.subset((dataset.splits == "test") | (np.arange(len(dataset)) % 3 == 0))
    model = run_experiment(
        some,
        replace(PRESETS["acmr-paper"], epochs=10, learning_rate=1e-3),
        0,
        image_encoder=image_encoder("mobilenet_v2", mobilenet_weights),
        text_encoder=BowEncoder(),
        cache=cache,
    ).model
    model.gallery = build_gallery(model, test, cache=cache)
    window = visit(serve_page(model))
    search_for(window, "Four bikers are riding on a dirt hill.", "12 pictures found")
    assert classes(window)[:3] == ["motorbike"] * 3
    photograph = test.images[list(test.labels).index(test.classes.index("motorbike"))]
    window.locator("#search-text textarea").fill("")
    window.set_input_files("#search-picture input[type=file]", photograph)
    expect(status(window)).to_contain_text("12 sentences found")
    found = window.locator("#search-results tbody td.class").all_inner_texts()
    assert found[:3] == ["motorbike"] * 3
    assert classes(window)[0] == "motorbike"
