"""Base class of word2vec and GloVe: pool the vectors of words into rows of documents."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np

from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.state import (
    expect_array,
    expect_vocabulary,
    restore_options,
    words_settings,
)
from cmr_hub.encoders.texts.tokens import document_words, folded, sentences, unique, words
from cmr_hub.encoders.texts.vector_files import read_vectors
from cmr_hub.errors import CMRError, shown
from cmr_hub.types import Document, FloatArray, IntArray, JSONObject

Pooling: TypeAlias = Literal["mean", "tfidf", "sif"]
Aggregation: TypeAlias = Literal["document", "sentence-mean", "sentence-max"]
Tokens: TypeAlias = list[str]

SIF_A = 1e-3
"""Parameter a of Arora et al.: words with a frequency far below this share have weight one."""


class WordVectorEncoder(TextEncoder):
    """Base class of encoders with a vector v_w for every word w; rows of unit length.

    The row of a text (a document, or each of its sentences) is a weighted mean of word vectors:

    - `"mean"`: Σ v_w / |s|
    - `"tfidf"`: Σ idf(w) v_w / Σ idf(w), idf(w) = ln((1 + n) / (1 + df(w))) + 1
    - `"sif"`: (1/|s|) Σ a / (a + p(w)) v_w, p(w) the share of w in the training text, a = 10⁻³

    over the known words, counting repetitions. `remove_component` then subtracts the first
    principal component u of the rows of the training texts, r − (rᵀu) u.

    References:
        Arora, Liang and Ma, A Simple but Tough-to-Beat Baseline for Sentence Embeddings,
        ICLR 2017 (`"sif"` and `remove_component`).
    """

    options: JSONObject
    """Arguments of `__init__`. A saved model stores only the file name of `vectors`."""

    def __init__(self, options: JSONObject) -> None:
        self.options = options
        self._index: dict[str, int] = {}
        self._vectors: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._weights: FloatArray = np.zeros(0, dtype=np.float32)
        self._component: FloatArray | None = None

    @abstractmethod
    def _train(self, training: list[Tokens]) -> tuple[list[str], FloatArray]:
        """Return words and their (V, D) float32 vectors, learnt from tokenised sentences."""

    @property
    def dim(self) -> int:
        self._require_fit()
        return int(self._vectors.shape[1])

    @property
    def vocabulary(self) -> list[str]:
        """Words that have a vector, in the order of the vectors."""
        return list(self._index)

    @property
    def vectors(self) -> FloatArray:
        """(V, D) float32, one row per word."""
        return self._vectors

    def neighbours(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """Return the k words nearest to `word` and their cosines, nearest first."""
        if word not in self._index:
            raise CMRError(f"{self.name}: the word {shown(word)} has no vector: use another word")
        lengths = np.linalg.norm(self._vectors, axis=1)
        row = self._index[word]
        cosines = self._vectors @ self._vectors[row] / (lengths * lengths[row])
        nearest = [index for index in np.argsort(-cosines, kind="stable") if index != row]
        vocabulary = self.vocabulary
        return [(vocabulary[index], float(cosines[index])) for index in nearest[:k]]

    def fit(self, documents: Sequence[Document]) -> Self:
        """Train or read the vectors, and learn the weights from training text."""
        version = self.words_version
        tokenised = [
            [words(sentence, version) for sentence in sentences(document)] for document in documents
        ]
        if self.options["vectors"] is None:
            names, vectors = self._train([tokens for text in tokenised for tokens in text])
        else:
            names, vectors = read_vectors(self.options["vectors"], self.options["limit"])
            # Words of queries are folded, so of words that are equal then the first one is used.
            row_of: dict[str, int] = {}
            for row, word in enumerate(names):
                row_of.setdefault(folded(word, version), row)
            names, vectors = list(row_of), vectors[list(row_of.values())]
        # A word with a zero vector has no effect, so it is unknown.
        non_zero = np.flatnonzero(vectors.any(axis=1))
        index = {names[row]: number for number, row in enumerate(non_zero)}
        if not index:
            raise CMRError(f"{self.name}: no word of the training text has a vector: use more text")
        self._index = index
        self._vectors = np.ascontiguousarray(vectors[non_zero], dtype=np.float32)
        self._weights = self._learn_weights(tokenised)
        self._component = None
        if self.options["remove_component"]:
            rows, _ = self._pool(documents)
            if not len(rows):
                raise CMRError(
                    f"{self.name}: remove_component needs training text with known words: turn it "
                    "off, or use other text"
                )
            self._component = _first_component(rows)
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows of unit length, zero for documents without a known word."""
        self._require_fit()
        rows, document_of = self._pool(documents)
        if self._component is not None:
            along = np.einsum("ud,d->u", rows, self._component)
            rows = rows - along[:, np.newaxis] * self._component
        joined = np.zeros((len(documents), self.dim), dtype=np.float32)
        if len(rows):
            # Texts of a document are adjacent, so a document starts where the number changes.
            starts = np.flatnonzero(np.diff(document_of, prepend=-1))
            join = np.maximum if self.options["aggregation"] == "sentence-max" else np.add
            joined[document_of[starts]] = join.reduceat(rows, starts, axis=0)
        lengths = np.linalg.norm(joined, axis=1, keepdims=True)
        unit: FloatArray = np.divide(joined, lengths, out=joined, where=lengths > 0)
        return unit

    def unknown_words(self, text: str) -> list[str]:
        self._require_fit()
        return [word for word in unique(words(text, self.words_version)) if word not in self._index]

    def knows(self, document: Document) -> bool:
        self._require_fit()
        return any(word in self._index for word in document_words(document, self.words_version))

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        self._require_fit()
        options = dict(self.options)
        if options["vectors"] is not None:
            # The path is specific to this machine; the name identifies the file.
            options["vectors"] = Path(options["vectors"]).name
        arrays = {"vectors": self._vectors, "weights": self._weights}
        if self._component is not None:
            arrays["component"] = self._component
        return {"options": options, **words_settings(self), "vocabulary": self.vocabulary}, arrays

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        known = expect_vocabulary(settings)
        vectors = expect_array(arrays, "vectors", (len(known), None), np.float32)
        encoder._index = {word: index for index, word in enumerate(known)}
        encoder._vectors = vectors
        encoder._weights = expect_array(arrays, "weights", (len(known),), np.float32)
        if encoder.options["remove_component"]:
            encoder._component = expect_array(arrays, "component", (vectors.shape[1],), np.float32)
        return encoder

    def _require_fit(self) -> None:
        if not self._index:
            raise CMRError(f"{self.name}: not fitted yet: call fit(documents) first")

    def _learn_weights(self, tokenised: list[list[Tokens]]) -> FloatArray:
        """Return the (V,) float32 weights of `pooling`, from the training documents."""
        n_words = len(self._index)
        pooling = self.options["pooling"]
        if pooling == "mean":
            return np.ones(n_words, dtype=np.float32)
        occurrences: Counter[str] = Counter()
        for text in tokenised:
            all_words = [word for tokens in text for word in tokens]
            occurrences.update(all_words if pooling == "sif" else set(all_words))
        counts = np.array([occurrences[word] for word in self._index], dtype=np.float64)
        if pooling == "sif":
            weights = SIF_A / (SIF_A + counts / max(1, occurrences.total()))
        else:
            weights = np.log((1 + len(tokenised)) / (1 + counts)) + 1
        return weights.astype(np.float32)

    def _pool(self, documents: Sequence[Document]) -> tuple[FloatArray, IntArray]:
        """Return a row for each text with a known word, and the document of each row."""
        from scipy import sparse

        is_joined = self.options["aggregation"] == "document"
        columns: list[int] = []
        ends: list[int] = [0]
        document_of: list[int] = []
        for number, document in enumerate(documents):
            version = self.words_version
            each = [words(sentence, version) for sentence in sentences(document)]
            texts = [list(chain.from_iterable(each))] if is_joined else each
            for tokens in texts:
                known = [self._index[word] for word in tokens if word in self._index]
                if known:
                    columns += known
                    ends.append(len(columns))
                    document_of.append(number)
        counts = sparse.csr_array(
            (np.ones(len(columns), dtype=np.float32), columns, ends),
            shape=(len(document_of), len(self._index)),
        )
        weighted = counts.multiply(self._weights[np.newaxis]).tocsr()
        divisor = counts if self.options["pooling"] == "sif" else weighted
        rows = (weighted @ self._vectors) / divisor.sum(axis=1)[:, np.newaxis]
        return rows, np.array(document_of, dtype=np.int64)


def _first_component(rows: FloatArray) -> FloatArray:
    """Return the (D,) first right singular vector of (N, D) rows, not centred (as in SIF)."""
    covariance = rows.T.astype(np.float64) @ rows.astype(np.float64)
    first: FloatArray = np.linalg.eigh(covariance)[1][:, -1].astype(np.float32)
    return first
