import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.errors import CMRError, ModelFormatError

TRAIN = [
    ("A black dog runs over green grass.", "The dog is running fast fast fast."),
    ("Two men ride a motorbike on a dirt road.",),
    ("A cat sleeps on the sofa", "A sofa with a grey cat", "One cat"),
    ("A man walks his dog.",),
]
TEST = [("The dog and a zebra meet a cat, a cat.",), ("grass", "motorbike men")]


@pytest.mark.parametrize("sublinear_tf", [True, False])
@pytest.mark.parametrize("stop_words", ["english", None])
@pytest.mark.parametrize("min_df", [1, 2])
def test_tfidf_equals_scikit_learn(sublinear_tf, stop_words, min_df) -> None:
    encoder = BowEncoder(sublinear_tf=sublinear_tf, stop_words=stop_words, min_df=min_df)
    oracle = TfidfVectorizer(
        token_pattern=r"\w+", sublinear_tf=sublinear_tf, stop_words=stop_words, min_df=min_df
    )
    oracle.fit([" ".join(document) for document in TRAIN])
    expected = oracle.transform([" ".join(document) for document in TEST]).toarray()
    rows = encoder.fit(TRAIN).transform(TEST)
    assert rows.dtype == np.float32
    assert rows.shape == (2, encoder.dim)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_counts_equal_scikit_learn() -> None:
    encoder = BowEncoder(weighting="count", stop_words=None, max_features=6).fit(TRAIN)
    oracle = CountVectorizer(token_pattern=r"\w+", max_features=6)
    oracle.fit([" ".join(document) for document in TRAIN])
    expected = normalize(oracle.transform([" ".join(d) for d in TEST])).toarray()
    np.testing.assert_allclose(encoder.transform(TEST), expected, atol=1e-6)


def test_only_training_words_are_known() -> None:
    encoder = BowEncoder().fit(TRAIN)
    before = encoder.state()
    encoder.transform([("zebra giraffe dog",)])
    assert encoder.state()[0] == before[0]
    assert encoder.unknown_words("A zebra, the dog and a zebra see Giraffes") == [
        "zebra",
        "giraffes",
    ]
    assert encoder.knows(["zebra", "dog"])
    assert not encoder.knows(["zebra", "the a of"])
    assert not encoder.knows([])
    # Nothing but stop words: they are what carries nothing.
    assert encoder.unknown_words("of the") == ["of", "the"]
    assert not encoder.transform([("zebra",), ()]).any()


def test_rows_are_of_unit_length_whatever_stands_beside_them() -> None:
    encoder = BowEncoder().fit(TRAIN)
    rows = encoder.transform(TEST)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
    alone = np.concatenate([encoder.transform([document]) for document in TEST])
    np.testing.assert_array_equal(rows, alone)
    assert encoder.transform([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("documents", [[], [()], [("the of and",)], [("!!!", "🐕")]])
def test_nothing_to_learn_from_is_a_clear_error(documents) -> None:
    with pytest.raises(CMRError, match="no word for the vocabulary"):
        BowEncoder().fit(documents)


def test_too_high_min_df_is_a_clear_error() -> None:
    with pytest.raises(CMRError, match="no word for the vocabulary"):
        BowEncoder(min_df=50).fit(TRAIN)


def test_before_fit() -> None:
    encoder = BowEncoder()
    for call in (lambda: encoder.dim, lambda: encoder.transform(TEST), encoder.state):
        with pytest.raises(CMRError, match="not fitted"):
            call()


def test_hostile_text() -> None:
    encoder = BowEncoder().fit(TRAIN)
    hostile = [("x" * 100_000,), ("\x00\x1b🐕\u202e",), ("dog " * 25_000,), ("",)]
    assert [encoder.knows(document) for document in hostile] == [False, False, True, False]
    assert np.isfinite(encoder.transform(hostile)).all()


def test_state_needs_its_idf() -> None:
    settings, arrays = text_encoder("bow").fit(TRAIN).state()
    with pytest.raises(ModelFormatError, match="'idf' is missing"):
        BowEncoder.from_state(settings, {})
    with pytest.raises(ModelFormatError, match="not"):
        BowEncoder.from_state(settings, {"idf": arrays["idf"][:-1]})
    with pytest.raises(ModelFormatError, match="repeated word"):
        BowEncoder.from_state(
            settings | {"vocabulary": [settings["vocabulary"][0]] * len(arrays["idf"])}, arrays
        )
