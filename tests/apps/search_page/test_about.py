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


def test_a_card_of_the_record(tmp_path, model, monkeypatch) -> None:
    monkeypatch.setattr(
        "cmr_hub.models.card.image_encoder_class", lambda name: type(model.image_encoder)
    )
    for directory in (None, tmp_path):
        card = card_of(model, "runs/squares", directory)
        assert card.strip().startswith("# squares")
        assert 'load("runs/squares")' in card
        assert "license:" not in card


def test_a_model_that_no_card_can_be_made_of(model) -> None:
    card = card_of(model, "squares", None)
    assert card.startswith("# squares\n\nThis model has no card: unknown image encoder")
