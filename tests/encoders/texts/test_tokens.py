import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.encoders.texts.tokens import document_words, pieces, unique, word_spans, words
from cmr_hub.errors import CMRError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two dogs, RUNNING!", ["two", "dogs", "running"]),
        ("The dog's ball isn't here", ["the", "dog", "ball", "isn't", "here"]),
        ("Don’t rock'n'roll", ["don't", "rock'n'roll"]),
        ("a t-shirt_no 12", ["a", "t", "shirt", "no", "12"]),
        ("Ein Mädchen läuft", ["ein", "mädchen", "läuft"]),
        ("cafe\u0301 ﬁne", ["café", "fine"]),
        ("كلب أسود", ["كلب", "أسود"]),
        ("'quoted' words'", ["quoted", "words"]),
        ("हिन्दी में कुत्ता", ["हिन्दी", "में", "कुत्ता"]),
        ("كَلْب و قِطَّة", ["كَلْب", "و", "قِطَّة"]),
        ("כֶּלֶב", ["כֶּלֶב"]),
        ("తెలుగు", ["తెలుగు"]),
        ("می\u200cخواهم auto\u00admatic a\u200bb", ["میخواهم", "automatic", "a", "b"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("STRASSE Straße ﬁnd Ｄｏｇ", ["strasse", "strasse", "find", "dog"]),
        ("สุนัข", ["สุนั", "นัข"]),
        ("ကြောင် ໝາ", ["ကြောင်", "ຫມ", "ມາ"]),
        ("一只狗", ["一", "一只", "只", "只狗", "狗"]),
        ("狗", ["狗"]),
        ("ケーキ3個", ["ケー", "ーキ", "3", "個"]),
        ("犬が走るiPhone's", ["犬", "犬が", "が走", "走", "走る", "iphone"]),
        ("1\ufe0f\u20e3", ["1"]),
        ("", []),
        ("🏍️🐕 \x00\x1b[31m\u202e", ["31m"]),
        ("a\x00b\ud800c", ["a", "b", "c"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी", ["ह", "न", "द"]),
        ("İstanbul", ["i", "stanbul"]),
        ("Straße ﬁnd dog's", ["straße", "find", "dog"]),
        ("一只狗", ["一只狗"]),
    ],
)
def test_words_of_earlier_releases(text: str, expected: list[str]) -> None:
    assert words(text, version=1) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a'",
        "'",
        "'s",
        "\x00",
        "🐕",
        "كلب ",
        "e\u0301",
        "a's'",
        "\ud800",
        "狗",
        "สุ",
        "\u0301\u0323",
    ],
)
def test_a_hundred_thousand_characters_are_read_quickly(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    start = time.perf_counter()
    words(text)
    assert time.perf_counter() - start < 2.0


def test_document_words_joins_sentences() -> None:
    assert document_words(["A dog.", "", "A cat"]) == ["a", "dog", "a", "cat"]


def test_a_bare_string_is_no_document() -> None:
    with pytest.raises(CMRError, match=r"pass \['two men'\]"):
        document_words("two men")


def test_unique_keeps_the_order() -> None:
    assert unique(["b", "a", "b"]) == ["b", "a"]


@given(st.text(st.sampled_from("abs'’ _-é\u0301ﬁ1\ud800狗กु") | st.characters()))
def test_spans_are_of_the_same_words(text: str) -> None:
    plain, spans = word_spans(text)
    assert [piece for word, _, _ in spans for piece in pieces(word)] == words(text)
    assert all(plain[start:end] in (word, f"{word}'s") for word, start, end in spans)
