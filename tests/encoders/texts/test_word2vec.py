import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors, Word2Vec

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.encoders.texts.word2vec import Word2VecEncoder
from cmr_hub.errors import CMRError

ANIMALS, ROADS = ["dog", "cat", "horse", "cow"], ["car", "bus", "truck", "van"]


def corpus() -> list[tuple[str, ...]]:
    random = np.random.default_rng(0)
    documents = []
    for _ in range(150):
        for nouns, verb, place in ((ANIMALS, "eats", "grass"), (ROADS, "drives", "street")):
            first, second = random.choice(nouns, 2, replace=False)
            documents.append((f"The {first} {verb} on the {place}.", f"A {second} {verb} {place}"))
    return documents


def test_training_is_gensims() -> None:
    encoder = Word2VecEncoder(dim=12, window=3, min_count=1, epochs=3, seed=7).fit(corpus())
    tokenised = [words(sentence) for document in corpus() for sentence in document]
    oracle = Word2Vec(
        tokenised, vector_size=12, window=3, min_count=1, epochs=3, sg=1, seed=7, workers=1
    ).wv
    assert encoder.vocabulary == oracle.index_to_key
    np.testing.assert_array_equal(encoder.vectors, oracle.vectors)
    nearest = [word for word, _ in encoder.neighbours("dog", 3)]
    assert nearest == [word for word, _ in oracle.most_similar("dog", topn=3)]


@pytest.mark.parametrize("skip_gram", [True, False])
def test_words_of_one_kind_come_together(skip_gram) -> None:
    encoder = Word2VecEncoder(
        dim=16, window=3, epochs=40, skip_gram=skip_gram, min_count=1, pooling="mean"
    ).fit(corpus())
    assert {word for word, _ in encoder.neighbours("dog", 3)} == {"cat", "horse", "cow"}
    assert {word for word, _ in encoder.neighbours("bus", 3)} == {"car", "truck", "van"}


def test_a_seed_decides_all_in_every_process() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_word2vec import digest; print(digest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert elsewhere.stdout.strip() == digest()


def digest() -> str:
    return sha256_of_arrays(Word2VecEncoder(dim=8, epochs=2).fit(corpus()).state()[1])


def test_loading_standard_files(tmp_path) -> None:
    trained = Word2VecEncoder(dim=8, epochs=2, pooling="mean").fit(corpus())
    vectors = KeyedVectors(8)
    vectors.add_vectors(trained.vocabulary, trained.vectors)
    vectors.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    loaded = Word2VecEncoder(vectors=tmp_path / "v.bin", pooling="mean").fit([("dog",)])
    assert loaded.vocabulary == trained.vocabulary
    np.testing.assert_array_equal(loaded.transform(corpus()), trained.transform(corpus()))
    assert (
        Word2VecEncoder(vectors=tmp_path / "v.bin", limit=2).fit([]).vocabulary
        == (trained.vocabulary[:2])
    )


def test_without_gensim(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(CMRError, match=r"needs gensim .*pip install 'cmr-hub\[study\]'"):
        Word2VecEncoder().fit(corpus())
