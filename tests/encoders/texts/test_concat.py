"""Encoders side by side: the parts' rows, words and state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.errors import CMRError, ModelFormatError

DOCUMENTS = [("a red bus stops", "the bus is red"), ("two dogs run",), ("a dog sleeps on grass",)]


def test_rows_are_the_parts_rows() -> None:
    both = text_encoder("concat", encoders=["bow", "word2vec"]).fit(DOCUMENTS)
    parts = [text_encoder(name).fit(DOCUMENTS) for name in ("bow", "word2vec")]
    assert both.dim == sum(part.dim for part in parts)
    expected = np.hstack([part.transform(DOCUMENTS) for part in parts])
    np.testing.assert_array_equal(both.transform(DOCUMENTS), expected)


def test_a_word_is_unknown_if_no_part_knows_it() -> None:
    both = text_encoder("concat", encoders=["bow", "bow"]).fit(DOCUMENTS)
    assert both.unknown_words("a red zeppelin") == ["zeppelin"]
    assert both.knows(("red zeppelin",))
    assert not both.knows(("zeppelin",))


def test_saved_and_loaded_to_the_bit(tmp_path: Path) -> None:
    both = text_encoder("concat", encoders=["bow", "word2vec"]).fit(DOCUMENTS)
    save_text_encoder(both, tmp_path)
    again = load_text_encoder(tmp_path)
    np.testing.assert_array_equal(again.transform(DOCUMENTS), both.transform(DOCUMENTS))


def test_it_cannot_hold_itself() -> None:
    with pytest.raises(CMRError, match="cannot contain itself"):
        text_encoder("concat", encoders=["bow", "concat"])


@pytest.mark.parametrize("parts", [None, [], [{}, {}, {}], ["bow", "bow"]])
def test_damaged_settings(parts: object) -> None:
    both = text_encoder("concat", encoders=["bow", "bow"]).fit(DOCUMENTS)
    settings, arrays = both.state()
    with pytest.raises(ModelFormatError):
        type(both).from_state(settings | {"parts": parts}, arrays)
