from __future__ import annotations

import pytest

from cmr_hub.errors import UnknownWordsError
from cmr_hub.gallery.notes import query_notes, unknown_words
from cmr_hub.gallery.query import Mix

SAID = "a dog and a xqzvw"


def test_unknown_words_of_every_part(default) -> None:
    mix = Mix((1, SAID), (-0.4, "blorptang, a cat, xqzvw"))
    assert unknown_words(default, mix) == ["xqzvw", "blorptang"]
    assert unknown_words(default, "a dog") == []
    assert default.unknown_words(SAID) == ["xqzvw"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a dog, not a cat", "not"),
        ("a street without cars", "without"),
        ("No people", "no"),
        ("it isn’t raining", "isn't"),
        ("neither dogs nor cats", "neither"),
    ],
)
def test_negations_are_told(text: str, word: str) -> None:
    (note,) = query_notes(Mix((1, "a dog"), (1, text)), (), "with --without")
    assert note.startswith(f"The word “{word}” is not understood")
    assert note.endswith("Say what should not be there with --without.")


@pytest.mark.parametrize("text", ["a dog", "a knot", "nowhere near the northern sea", "notes", ""])
def test_other_words_are_not(text: str) -> None:
    assert query_notes(text, (), "with --without") == []


def test_nothing_but_unknown_words(default) -> None:
    with pytest.raises(UnknownWordsError, match="xqzvw"):
        default.search("xqzvw")
