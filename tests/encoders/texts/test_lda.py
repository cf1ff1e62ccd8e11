import json
import time

import numpy as np
import pytest
from at_once import at_once
from gensim.models import LdaModel

from cmr_hub.encoders.texts.lda import LdaEncoder
from cmr_hub.errors import CMRError, ModelFormatError

ANIMALS = ["dog", "cat", "horse", "cow", "grass", "paw"]
ROADS = ["car", "bus", "truck", "street", "wheel", "road"]


def corpus(n: int = 60) -> list[tuple[str, ...]]:
    random = np.random.default_rng(0)
    return [
        tuple(" ".join(random.choice(words, 5)) for _ in range(3))
        for _ in range(n)
        for words in (ANIMALS, ROADS)
    ]


TEST = [("dog cat", "grass"), ("bus",), ("zebra",), (), ("the dog on the road", "zebra")]


@pytest.fixture(scope="module")
def encoder() -> LdaEncoder:
    return LdaEncoder(topics=2, passes=5).fit(corpus())


def test_two_worlds_are_two_topics(encoder) -> None:
    rows = encoder.transform([(word,) for word in ANIMALS + ROADS])
    topics = rows.argmax(axis=1)
    assert len(set(topics[:6])) == len(set(topics[6:])) == 1
    assert topics[0] != topics[6]


def test_rows_are_shares(encoder) -> None:
    rows = encoder.transform(TEST)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), [1, 1, 0, 0, 1], rtol=1e-5)
    assert (rows >= 0).all()


def test_inference_is_gensims(encoder) -> None:
    settings, arrays = encoder.state()
    vocabulary = settings["vocabulary"]
    tokens = [" ".join(document).split() for document in corpus()]
    counts = [
        [(k, words.count(w)) for k, w in enumerate(vocabulary) if w in words] for words in tokens
    ]
    oracle = LdaModel(
        counts,
        id2word=dict(enumerate(vocabulary)),
        num_topics=2,
        passes=5,
        alpha="auto",
        random_state=0,
        eval_every=None,
    )
    np.testing.assert_array_equal(arrays["topic_words"], oracle.state.get_lambda())
    np.testing.assert_array_equal(arrays["alpha"], oracle.alpha)
    # Gensim starts from another random γ; both end near the same posterior.
    gamma = oracle.inference(counts[:10])[0]
    expected = gamma / gamma.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.transform(corpus()[:10]), expected, atol=2e-3)


def test_a_row_depends_on_nothing_beside_it(encoder) -> None:
    alone = np.concatenate([encoder.transform([document]) for document in TEST])
    np.testing.assert_array_equal(encoder.transform(TEST), alone)
    np.testing.assert_array_equal(encoder.transform(TEST), encoder.transform(TEST))
    assert encoder.transform([]).shape == (0, 2)


def test_from_many_threads(encoder, monkeypatch) -> None:
    expected = encoder.transform(TEST)
    infer = LdaModel.inference

    def wait_and_infer(*arguments):
        time.sleep(0.001)
        return infer(*arguments)

    monkeypatch.setattr(LdaModel, "inference", wait_and_infer)
    for rows in at_once([lambda: encoder.transform(TEST)] * 8):
        np.testing.assert_array_equal(rows, expected)


def test_a_seed_decides_all(encoder) -> None:
    again = LdaEncoder(topics=2, passes=5).fit(corpus())
    np.testing.assert_array_equal(again.transform(TEST), encoder.transform(TEST))
    other = LdaEncoder(topics=2, passes=5, seed=1).fit(corpus())
    assert not np.array_equal(other.transform(TEST), encoder.transform(TEST))


def test_known_and_unknown(encoder) -> None:
    assert encoder.unknown_words("the zebra, the dog") == ["zebra"]
    assert encoder.unknown_words("the of") == ["the", "of"]
    assert encoder.knows(["zebra", "dog"])
    assert not encoder.knows(["zebra the"])
    assert not encoder.knows([])


def test_state_is_json_and_arrays(encoder) -> None:
    settings, arrays = encoder.state()
    json.dumps(settings)
    again = LdaEncoder.from_state(settings, arrays)
    np.testing.assert_array_equal(again.transform(TEST), encoder.transform(TEST))
    for name, array in arrays.items():
        for wrong in (array[:1], -array, array * np.nan, array.astype(np.float64)):
            with pytest.raises(ModelFormatError):
                LdaEncoder.from_state(settings, arrays | {name: wrong})


def test_nothing_to_learn_from() -> None:
    with pytest.raises(CMRError, match="not fitted"):
        LdaEncoder().transform(TEST)
    for documents in ([], [()], [("the of",)], [("once",), ("twice",)]):
        with pytest.raises(CMRError, match="lower min_df"):
            LdaEncoder().fit(documents)


def test_hostile_text(encoder) -> None:
    hostile = [("x" * 100_000,), ("\x00\x1b🐕\u202e",), ("dog " * 25_000,)]
    assert [encoder.knows(document) for document in hostile] == [False, False, True]
    assert np.isfinite(encoder.transform(hostile)).all()
