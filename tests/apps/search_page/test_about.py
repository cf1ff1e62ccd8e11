from __future__ import annotations

from cmr_hub.apps.search_page.about_tab import _card, _facts, _figures

PIXEL = b"\x89PNG\r\n\x1a\n"


def test_a_card_with_its_pictures(tmp_path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "a.png").write_bytes(PIXEL)
    (tmp_path.parent / "secret.png").write_bytes(PIXEL)
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\n---\n# Squares\n\n![A](card/a.png) ![B](../secret.png) ![C](none.png)"
    )
    assert _card(tmp_path) == ("# Squares\n\n![A](data:image/png;base64,iVBORw0KGgo=) B C")
    assert _card(None) == _card(tmp_path / "card") == ""


def test_facts_of_a_model_without_a_card(model) -> None:
    facts = _facts(model)
    assert "| trained on | squares |" in facts
    assert "red, green, blue" in facts
    figures = {"on_*this*": {"test": {"recall_at_1": 0.25, "pictures": 9}, "map": 0.5}}
    assert _figures(figures) == [
        "| on\\_\\*this\\* | test recall at 1 | 0.250 |",
        "| on\\_\\*this\\* | map | 0.500 |",
    ]
