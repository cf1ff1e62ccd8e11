"""The About tab: a stranger's model card may do nothing to the page."""

from __future__ import annotations

import re
import time

import pytest
from damage import Target, attack, contract, read_whole
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.apps.search_page import about_tab
from cmr_hub.apps.search_page.about_tab import (
    MAX_CARD_BYTES,
    _gallery_text,
    card_of,
    shown_card,
)
from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.models.names import CARD

PIXEL = b"\x89PNG\r\n\x1a\n"
HOSTILE = """# A card

<img src="{0}/t.png"> <video poster="{0}/v.png"></video>

<div style="position:fixed;inset:0;background:red">
<form action="{0}/f"><input name=password></form></div>

![far]({0}/m.png) ![svg](data:image/svg+xml;base64,PHN2Zz4=) [x](javascript:alert(1))

${{alert(1)}} {{{{value}}}} `${{alert(2)}}`

| a | b |
|---|---|
| 1 | <script>document.title = "taken"</script> |
"""


def test_a_card_with_its_pictures(tmp_path, model) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "a.png").write_bytes(PIXEL)
    (tmp_path.parent / "secret.png").write_bytes(PIXEL)
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\n---\n# Squares\n\n![A](card/a.png) ![B](../secret.png) ![C](none.png)"
    )
    assert card_of(model, "squares", tmp_path) == (
        "# Squares\n\n![A](data:image/png;base64,iVBORw0KGgo=) B C"
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (f"![A]({'a' * 300}.png)".encode(), "A"),
        (b"![A](folder.png)", "A"),
        (b"![" * (MAX_CARD_BYTES // 2), "![" * (MAX_CARD_BYTES // 2)),
    ],
    ids=["not UTF-8", "a name that is too long", "a folder", "brackets without end"],
)
def test_a_card_of_anybody(tmp_path, model, written, shown) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "README.md").write_bytes(written)
    with contract(seconds=5):
        assert card_of(model, "squares", tmp_path) == shown


def test_no_card_is_larger_than_a_page(tmp_path, model, monkeypatch) -> None:
    (tmp_path / "README.md").write_bytes(b"x" * (MAX_CARD_BYTES + 1))
    assert "x" * 100 not in card_of(model, "squares", tmp_path)
    monkeypatch.setattr(about_tab, "MAX_CARD_PICTURES_BYTES", 2 * len(PIXEL))
    (tmp_path / "a.png").write_bytes(PIXEL)
    (tmp_path / "README.md").write_text("![A](a.png)" * 3)
    card = card_of(model, "squares", tmp_path)
    assert card.count("data:") == 2
    assert card.endswith(")A")


@given(data=st.data())
def test_any_card(model, data: st.DataObject) -> None:
    card = "---\nlicense: mit\n---\n![A](a.png) ![B](../canary.png) ![C](card/c.png)\n"
    files = {"README.md": card.encode(), "a.png": PIXEL, "card/c.png": PIXEL}
    target = Target(files, lambda folder: card_of(model, "squares", folder))
    read_whole(target)
    attack(target, data)


def test_a_card_of_the_record(tmp_path, model) -> None:
    for directory in (None, tmp_path):
        card = card_of(model, "runs/squares", directory)
        assert card.strip().startswith("# squares")
        assert 'load("runs/squares")' in card
        assert "license:" not in card


def test_a_model_that_no_card_can_be_made_of(model, monkeypatch) -> None:
    monkeypatch.setattr(model, "training", {"settings": 3})
    card = card_of(model, "squares", None)
    assert card.startswith("# squares\n\nThis model has no card: the training record of the model")


# ---- rendered


def test_html_is_shown_and_not_obeyed() -> None:
    shown = shown_card(HOSTILE.format("http://other.example"))
    tags = set(re.findall(r"<(\w+)[^>]*>", shown))
    assert tags == {"h1", "p", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert not re.search(r"<[^>]*(style|href|src|on\w+)=", shown)
    assert "&lt;form" in shown
    assert "<p>far " in shown
    assert not set("{}$`") & set(shown)


def test_a_link_tells_nobody_where_it_was() -> None:
    shown = shown_card("[a](https://a.example)")
    assert 'href="https://a.example" target="_blank" rel="noopener noreferrer nofollow"' in shown
    assert "<a" not in shown_card("[x](javascript:alert(1)) [y](data:text/html,z)")


def test_own_pictures_stay() -> None:
    assert shown_card('![a "b"](data:image/png;base64,iVBORw0KGgo=)') == (
        '<p><img src="data:image/png;base64,iVBORw0KGgo=" alt="a &quot;b&quot;"></p>\n'
    )


@pytest.mark.parametrize("part", ["![", "[", "*a_ ", "[a](", "<", "`a", "a|"])
def test_a_slow_card_ends(part) -> None:
    started = time.perf_counter()
    shown_card(part * (MAX_CARD_BYTES // len(part)))
    assert time.perf_counter() - started < 10


def test_a_browser_asks_nobody_for_a_card(visit, serve_page, model, tmp_path) -> None:
    """`visit` fails where a request leaves the machine."""
    (tmp_path / CARD).write_text(HOSTILE.format("http://other.example"))
    window = visit(serve_page(model, name="squares", card=tmp_path))
    window.get_by_role("tab", name="About").click()
    card = window.locator("#about-card")
    card.get_by_text("A card", exact=True).wait_for()
    assert card.locator("form, input, video, script, div[style*=fixed], img").count() == 0
    assert window.title() != "taken"
    assert "${alert(1)} {{value}} ${alert(2)}" in card.inner_text()


def test_what_is_told_of_a_gallery(own_engine, model, photographs) -> None:
    text = _gallery_text(own_engine, "pictures/<b>{x}", "runs/squares")
    assert "<h1>&lt;b&gt;&#123;x&#125;</h1>" in text
    for fact in ("12", "runs/squares", "2021-06-01 to 2021-06-12", "latitude"):
        assert fact in text
    folder = own_engine.facets.root
    assert folder in text
    public = _gallery_text(Engine(model, photographs), "mine", "squares")
    assert folder not in public
    assert "latitude" not in public
