import math

import numpy as np
import pytest

from cmr_hub.encoders.texts.glove import GloveEncoder
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.encoders.texts.word2vec import Word2VecEncoder
from cmr_hub.errors import CMRError, DataNotFoundError, ModelFormatError

VECTORS = {
    "dog": [1.0, 0.0, 0.5],
    "cat": [0.8, -0.3, 0.4],
    "runs": [0.0, 1.0, -0.2],
    "the": [0.3, 0.3, 0.3],
    "zebra": [0.9, 0.1, -0.7],
    "nothing": [0.0, 0.0, 0.0],
}
TRAIN = [
    ("The dog runs.", "The dog, the dog!"),
    ("The cat runs", "unknownword here"),
    ("A cat and the dog.",),
]
TEST = [
    ("The dog runs, the cat runs.", "A zebra"),
    ("unknownword", "dog"),
    ("unknownword",),
    (),
    ("the", "", "cat cat dog"),
]
POOLINGS = ["mean", "tfidf", "sif"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    rows = [f"{word} {' '.join(map(str, row))}" for word, row in VECTORS.items()]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def weight(word: str, pooling: str) -> float:
    if pooling == "mean":
        return 1.0
    if pooling == "tfidf":
        frequency = sum(word in words(" ".join(document)) for document in TRAIN)
        return math.log((1 + len(TRAIN)) / (1 + frequency)) + 1
    every = [w for document in TRAIN for w in words(" ".join(document))]
    return 1e-3 / (1e-3 + every.count(word) / len(every))


def known(word: str) -> bool:
    return any(VECTORS.get(word, []))


def pooled(text: str, pooling: str) -> np.ndarray | None:
    tokens = [word for word in words(text) if known(word)]
    if not tokens:
        return None
    total, weights = np.zeros(3), 0.0
    for word in tokens:
        total += weight(word, pooling) * np.array(VECTORS[word])
        weights += weight(word, pooling)
    return total / (len(tokens) if pooling == "sif" else weights)


def texts_of(document, aggregation: str) -> list[str]:
    return [" ".join(document)] if aggregation == "document" else list(document)


def expected_row(document, pooling, aggregation, component=None) -> np.ndarray:
    rows = [pooled(text, pooling) for text in texts_of(document, aggregation)]
    rows = [row for row in rows if row is not None]
    if component is not None:
        rows = [row - (row @ component) * component for row in rows]
    if not rows:
        return np.zeros(3)
    joined = np.max(rows, axis=0) if aggregation == "sentence-max" else np.mean(rows, axis=0)
    return joined / np.linalg.norm(joined)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("aggregation", ["document", "sentence-mean", "sentence-max"])
@pytest.mark.parametrize("remove_component", [False, True])
def test_rows_equal_a_plain_loop(file, pooling, aggregation, remove_component) -> None:
    encoder = GloveEncoder(
        vectors=file, pooling=pooling, aggregation=aggregation, remove_component=remove_component
    ).fit(TRAIN)
    component = None
    if remove_component:
        rows = [pooled(t, pooling) for d in TRAIN for t in texts_of(d, aggregation)]
        component = np.linalg.svd(np.array([row for row in rows if row is not None]))[2][0]
    expected = [expected_row(document, pooling, aggregation, component) for document in TEST]
    found = encoder.transform(TEST)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_row_does_not_depend_on_what_stands_beside_it(file) -> None:
    encoder = GloveEncoder(vectors=file, remove_component=True).fit(TRAIN)
    alone = np.concatenate([encoder.transform([document]) for document in TEST])
    np.testing.assert_array_equal(encoder.transform(TEST), alone)
    assert encoder.transform([]).shape == (0, 3)


def test_known_and_unknown(file) -> None:
    encoder = GloveEncoder(vectors=file).fit(TRAIN)
    assert encoder.dim == 3
    # A word whose vector is zero carries nothing.
    text = "The Giraffe sees nothing, giraffe, the dog's zebra"
    assert encoder.unknown_words(text) == ["giraffe", "sees", "nothing"]
    assert encoder.knows(["giraffe", "DOG"])
    assert not encoder.knows(["giraffe", "nothing"])
    assert not encoder.knows([])


def test_neighbours(file) -> None:
    encoder = GloveEncoder(vectors=file).fit(TRAIN)
    found = encoder.neighbours("dog", k=2)
    dog, cat = np.array(VECTORS["dog"]), np.array(VECTORS["cat"])
    assert found[0][0] == "cat"
    assert found[0][1] == pytest.approx(dog @ cat / np.linalg.norm(dog) / np.linalg.norm(cat))
    assert [word for word, _ in encoder.neighbours("dog", 50)][-1] == "runs"
    assert len(encoder.neighbours("dog", 50)) == 4
    with pytest.raises(CMRError, match="'giraffe' has no vector"):
        encoder.neighbours("giraffe")


def test_weights_come_from_training_text_only(file) -> None:
    one = GloveEncoder(vectors=file).fit(TRAIN)
    one.transform([("zebra zebra runs",)] * 50)
    two = GloveEncoder(vectors=file).fit(TRAIN)
    np.testing.assert_array_equal(one.state()[1]["weights"], two.state()[1]["weights"])
    other = GloveEncoder(vectors=file).fit(TRAIN[:1])
    assert not np.array_equal(one.state()[1]["weights"], other.state()[1]["weights"])


def test_only_the_name_of_the_file_is_saved(file) -> None:
    encoder = GloveEncoder(vectors=file).fit(TRAIN)
    settings, arrays = encoder.state()
    assert settings["options"]["vectors"] == "vectors.txt"
    again = GloveEncoder.from_state(settings, arrays)
    np.testing.assert_array_equal(again.transform(TEST), encoder.transform(TEST))
    # Fitting it anew must not train on the quiet what was once read.
    with pytest.raises(DataNotFoundError):
        again.fit(TRAIN)


def test_state_is_checked(file) -> None:
    encoder = GloveEncoder(vectors=file, remove_component=True).fit(TRAIN)
    settings, arrays = encoder.state()
    for name, array in arrays.items():
        broken = [array[:-1], array.astype(np.float64), np.full_like(array, np.nan)]
        for wrong in broken:
            with pytest.raises(ModelFormatError, match=name):
                GloveEncoder.from_state(settings, arrays | {name: wrong})
    with pytest.raises(ModelFormatError, match="vectors"):
        GloveEncoder.from_state(
            settings | {"vocabulary": [*settings["vocabulary"], "more"]}, arrays
        )


@pytest.mark.parametrize("encoder", [Word2VecEncoder, GloveEncoder])
def test_before_fit_and_without_words(encoder, file) -> None:
    for call in ("state", "dim"):
        with pytest.raises(CMRError, match="not fitted"):
            getattr(encoder(), call)()
    with pytest.raises(CMRError, match="not fitted"):
        encoder().transform(TEST)
    for documents in ([], [()], [("once",)]):
        with pytest.raises(CMRError, match=r"lower min_count|no word"):
            encoder(min_count=5).fit(documents)
    # Read vectors need no training text; nothing is known of how rare words are, then.
    assert encoder(vectors=file).fit([]).knows(["dog"])


def test_remove_component_needs_text(file) -> None:
    with pytest.raises(CMRError, match="remove_component needs"):
        GloveEncoder(vectors=file, remove_component=True).fit([("unknownword",)])


@pytest.mark.parametrize("encoder", [Word2VecEncoder, GloveEncoder])
def test_hostile_text(encoder, file) -> None:
    fitted = encoder(vectors=file).fit([("\x00🐕" * 1000,), ("dog " * 10_000,)])
    hostile = [("x" * 100_000,), ("\x00\x1b🐕\u202e",), ("dog " * 25_000,), ("كلب",)]
    assert [fitted.knows(document) for document in hostile] == [False, False, True, False]
    assert np.isfinite(fitted.transform(hostile)).all()


def test_vectors_are_found_in_any_case_and_form(tmp_path) -> None:
    rows = ["Hund 1 0", "hund 0 1", "ﬁnden 1 1", "İstanbul 2 1", "कुत्ता 1 2"]
    (tmp_path / "a.txt").write_text("\n".join(rows), encoding="utf-8")
    encoder = GloveEncoder(vectors=tmp_path / "a.txt").fit([])
    assert encoder.unknown_words("hund HUND finden ﬁnden İSTANBUL कुत्ता") == []
    np.testing.assert_array_equal(encoder.transform([("HUND",)]), [[1, 0]])
