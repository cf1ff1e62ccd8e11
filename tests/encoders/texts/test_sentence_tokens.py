"""The tokeniser read from its file gives the tokens that transformers gives."""

from __future__ import annotations

import numpy as np
import pytest

from cmr_hub.encoders.packaged import MINILM
from cmr_hub.encoders.texts.sentence_tokens import FileTokens, LibraryTokens
from cmr_hub.encoders.torchvision_ops import ensure_torchvision

TEXTS = [
    "Two dogs run on a beach.",
    "",
    "A café's sign: “Öl & naïve Größe” — 3,5 %!",
    "犬が走る。 كلب 🐕‍🦺",
    "UPPER lower MiXeD under_score hy-phen",
    "tab\tnew\nline \u00a0 \u200b \x00 \ufffd",
    "x" * 150,
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "[CLS] [MASK] [UNK] [PAD] [SEP] dog [sep]",
    "dog " * 400,
    "1234567890 " * 60,
]
MOST = 256


@pytest.fixture(scope="module")
def tokeniser() -> FileTokens:
    return FileTokens(MINILM.checked("model/tokenizer.json"), MOST)


@pytest.fixture(scope="module")
def transformers_own() -> LibraryTokens:
    ensure_torchvision()
    from transformers import AutoTokenizer

    folder = MINILM.checked("model/tokenizer.json").parent
    return LibraryTokens(AutoTokenizer.from_pretrained(folder), MOST)


def test_batches(tokeniser, transformers_own) -> None:
    for texts in (TEXTS, TEXTS[:3], TEXTS[:1], TEXTS[9:10]):
        found, expected = tokeniser.batch(texts), transformers_own.batch(texts)
        assert list(found) == list(expected)
        for name, array in found.items():
            assert array.dtype == np.int64
            np.testing.assert_array_equal(array, expected[name])
    assert tokeniser.batch(TEXTS)["input_ids"].shape == (len(TEXTS), MOST)


@pytest.mark.parametrize("special", [True, False])
def test_single_texts(tokeniser, transformers_own, special) -> None:
    for text in TEXTS:
        found = tokeniser.ids(text, special=special)
        assert found == transformers_own.ids(text, special=special)
        assert len(found) <= MOST


def test_special_tokens(tokeniser, transformers_own) -> None:
    assert tokeniser.special_ids == transformers_own.special_ids
    assert set(tokeniser.ids("ꙮ", special=False)) <= tokeniser.special_ids
    assert not set(tokeniser.ids("dog", special=False)) & tokeniser.special_ids
