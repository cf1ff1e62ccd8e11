"""`cmr index --ocr`, and the text in pictures in `cmr search`."""

import json
import sys

import pytest
from PIL import Image, ImageDraw, ImageFont

from cmr_hub.gallery.indexing import ocr


@pytest.fixture
def pictures(tmp_path):
    base = tmp_path / "pictures"
    base.mkdir()
    for name, text in (("sign", "Gate 12"), ("shot", "Error 404"), ("blank", "")):
        page = Image.new("RGB", (320, 160), "white")
        ImageDraw.Draw(page).text((20, 50), text, fill="red", font=ImageFont.load_default(size=36))
        page.save(base / f"{name}.png")
    return base


def test_a_search_shows_the_text_that_it_found(cmr, pictures, saved_model, tmp_path) -> None:
    out = tmp_path / "g"
    assert cmr("index", pictures, "--out", out, "--model", saved_model)[0] == 0
    code, _, err = cmr("search", out, 'text:"gate 12"')
    assert (code, "--ocr" in err) == (2, True)
    code, text, err = cmr("index", pictures, "--out", out, "--ocr")
    assert code == 0, err
    assert "3 updated" in text
    code, text, _ = cmr("search", out, 'text:"gate 12"')
    assert (code, "Gate 12" in text, "shot.png" in text) == (0, True, False)
    assert "Left out" not in text
    found = json.loads(cmr("search", out, "the sea, error", "--json")[1])
    assert {hit["path"].rpartition("/")[2]: hit["text"] for hit in found} == {
        **{"sign.png": None, "blank.png": None},
        "shot.png": "Error 404",
    }


def test_without_the_extra_it_says_what_to_install(
    cmr, pictures, saved_model, tmp_path, monkeypatch
) -> None:
    ocr.reader.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    code, _, err = cmr("index", pictures, "--out", tmp_path / "g", "--model", saved_model, "--ocr")
    assert code == 2
    assert "cmr-hub[ocr]" in err
    assert not (tmp_path / "g").exists()
