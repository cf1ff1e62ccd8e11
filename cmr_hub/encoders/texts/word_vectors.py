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
    - `"sif"`: (1/|s|) Σ a / (a + p(w)) v_w, p(w) the word's share of the training text, a = 10⁻³

    over the known words, counting repetitions. `remove_component` then subtracts the first
    principal component u of the training texts' rows, r − (rᵀu) u.

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
            raise CMRError(f"{self.name}: the word {shown(word)} has no vector here")
        lengths = np.linalg.norm(self._vectors, axis=1)
        own = self._index[word]
        cosines = self._vectors @ self._vectors[own] / (lengths * lengths[own])
        nearest = [index for index in np.argsort(-cosines, kind="stable") if index != own]
        known = self.vocabulary
        return [(known[index], float(cosines[index])) for index in nearest[:k]]

    def fit(self, documents: Sequence[Document]) -> Self:
        """Train or read the vectors, and learn the weights from training text."""
        version = self.words_version
        tokenised = [[words(one, version) for one in sentences(text)] for text in documents]
        if self.options["vectors"] is None:
            found, vectors = self._train([tokens for text in tokenised for tokens in text])
        else:
            found, vectors = read_vectors(self.options["vectors"], self.options["limit"])
            # A query is folded too; of words that are then equal the first counts.
            row_of: dict[str, int] = {}
            for row, word in enumerate(found):
                row_of.setdefault(folded(word, version), row)
            found, vectors = list(row_of), vectors[list(row_of.values())]
        # A word with a zero vector has no effect: it counts as unknown.
        carries = np.flatnonzero(vectors.any(axis=1))
        known = [found[index] for index in carries]
        if not known:
            raise CMRError(f"{self.name}: no word of the training text has a vector")
        self._index = {word: index for index, word in enumerate(known)}
        self._vectors = np.ascontiguousarray(vectors[carries], dtype=np.float32)
        self._weights = self._learn_weights(tokenised)
        self._component = None
        if self.options["remove_component"]:
            rows, _ = self._pool(documents)
            if not len(rows):
                raise CMRError(f"{self.name}: remove_component needs training text that is known")
            self._component = _first_component(rows)
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows of unit length, zero for documents without a known word."""
        self._require_fit()
        rows, document_of = self._pool(documents)
        if self._component is not None:
            along = np.einsum("ud,d->u", rows, self._component)
            rows = rows - along[:, np.newaxis] * self._component
        found = np.zeros((len(documents), self.dim), dtype=np.float32)
        if len(rows):
            # Texts of a document are adjacent: each document starts where the number changes.
            starts = np.flatnonzero(np.diff(document_of, prepend=-1))
            largest = self.options["aggregation"] == "sentence-max"
            join = np.maximum if largest else np.add
            found[document_of[starts]] = join.reduceat(rows, starts, axis=0)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        unit: FloatArray = np.divide(found, lengths, out=found, where=lengths > 0)
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
            raise CMRError(f"{self.name}: not fitted yet; call fit(documents) first")

    def _learn_weights(self, tokenised: list[list[Tokens]]) -> FloatArray:
        """Return the (V,) float32 weights of `pooling`, from the training documents."""
        n_words = len(self._index)
        pooling = self.options["pooling"]
        if pooling == "mean":
            return np.ones(n_words, dtype=np.float32)
        seen: Counter[str] = Counter()
        for text in tokenised:
            every = [word for tokens in text for word in tokens]
            seen.update(every if pooling == "sif" else set(every))
        counts = np.array([seen[word] for word in self._index], dtype=np.float64)
        if pooling == "sif":
            weights = SIF_A / (SIF_A + counts / max(1, seen.total()))
        else:
            weights = np.log((1 + len(tokenised)) / (1 + counts)) + 1
        return weights.astype(np.float32)

    def _pool(self, documents: Sequence[Document]) -> tuple[FloatArray, IntArray]:
        """Return a row per text with a known word, and the document of each."""
        from scipy import sparse

        whole = self.options["aggregation"] == "document"
        columns: list[int] = []
        ends: list[int] = [0]
        document_of: list[int] = []
        for number, document in enumerate(documents):
            version = self.words_version
            each = [words(sentence, version) for sentence in sentences(document)]
            texts = [list(chain.from_iterable(each))] if whole else each
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
