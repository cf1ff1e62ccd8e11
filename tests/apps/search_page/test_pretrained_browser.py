"""The page over a gallery that a pretrained dual encoder indexed, in Chromium."""

from __future__ import annotations

import pytest
from page_window import search_for, status, tiles
from playwright.sync_api import expect

from cmr_hub.apps.search_page.page import EMPTY
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.loading import load, open_gallery


@pytest.fixture(scope="module")
def gallery(clip, colour_folder, tmp_path_factory):
    """36 coloured pictures, indexed by a tiny CLIP."""
    out, model = tmp_path_factory.mktemp("indexed") / "gallery", load(clip)
    index_folder(Gallery.create(out, model, model_name=model.source), colour_folder)
    return open_gallery(out)


@pytest.fixture(scope="module")
def clip_url(serve_page, gallery) -> str:
    """The address of the page."""
    gallery.model.gallery = gallery
    return serve_page(gallery.model, name="clip", gallery="pets")


@pytest.mark.parametrize("text", ["a dog on the sea", "собака у моря", "海辺の犬"])
def test_a_sentence_of_any_script_finds_pictures(visit, clip_url, gallery, text) -> None:
    window = visit(clip_url)
    search_for(window, text, "pictures found in")
    assert "does not know" not in status(window).inner_text()
    expected = gallery.search(text, 12, "image")
    texts = tiles(window).locator(".score").all_inner_texts()
    shown = [text for text in texts if not text.startswith("stands out")]
    scores = [float(score.replace("−", "-")) for score in shown]  # a true minus sign
    assert len(scores) == 12
    assert scores == pytest.approx([hit.score for hit in expected], abs=5.1e-3)
    assert scores == sorted(scores, reverse=True)


def test_nothing_typed_shows_the_gallery(visit, clip_url) -> None:
    window = visit(clip_url)
    search_for(window, "a dog", "pictures found in")
    search_for(window, "   ", EMPTY)
    expect(tiles(window)).to_have_count(12)
    expect(tiles(window).locator(".score")).to_have_count(0)


def test_about_names_the_encoder(visit, clip_url) -> None:
    window = visit(clip_url)
    window.get_by_role("tab", name="About").click()
    about = window.locator("#about-card")
    expect(about).to_contain_text("Pictures and sentences are encoded by clip")
    expect(about).to_contain_text("This model was not trained further")
    expect(window.locator("#about-programs")).to_contain_text("open_gallery('pets')")
