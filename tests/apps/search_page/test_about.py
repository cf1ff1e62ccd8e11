from __future__ import annotations

import pytest
from damage import Target, attack, contract, read_whole
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.apps.search_page import about_tab
from cmr_hub.apps.search_page.about_tab import MAX_CARD_BYTES, card_of

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
    assert card.startswith("# squares\n\nThis model has no card: the model's training record")
