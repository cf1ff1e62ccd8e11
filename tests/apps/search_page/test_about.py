from __future__ import annotations

from cmr_hub.apps.search_page.about_tab import card_of

PIXEL = b"\x89PNG\r\n\x1a\n"


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


def test_a_model_without_a_card(tmp_path, model) -> None:
    for directory in (None, tmp_path):
        card = card_of(model, "runs/squares", directory)
        assert card.strip().startswith("# squares")
        assert 'load("runs/squares")' in card
        assert "license:" not in card
