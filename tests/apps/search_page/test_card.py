"""What a stranger's model card may do to the page: nothing."""

from __future__ import annotations

import re
import time

import pytest

from cmr_hub.apps.search_page.about_tab import MAX_CARD_BYTES
from cmr_hub.apps.search_page.card import shown_card
from cmr_hub.models.names import CARD

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
