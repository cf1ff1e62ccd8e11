"""Bag of words: one dimension per word, weighted by TF-IDF or counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from sklearn.feature_extraction.text import (
    ENGLISH_STOP_WORDS,
    CountVectorizer,
    TfidfTransformer,
)
from sklearn.preprocessing import normalize

from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.state import (
    expect_array,
    expect_vocabulary,
    restore_options,
    words_settings,
)
from cmr_hub.encoders.texts.tokens import document_words, unique, words
from cmr_hub.errors import CMRError
from cmr_hub.types import Document, FloatArray, JSONObject


class BowEncoder(TextEncoder):
    """Bag of words of a document with its sentences joined; rows of unit length.

    With `weighting="tfidf"` the weight of a word is tf(w) · idf(w), where
    idf(w) = ln((1 + n) / (1 + df(w))) + 1 over the n training documents; tf is 1 + ln(count) if
    `sublinear_tf`, otherwise the count. With `weighting="count"` it is the count.

    Args:
        weighting: `"tfidf"` or `"count"`.
        stop_words: `"english"` removes scikit-learn's English stop words; None keeps all words.
        min_df: Minimum number of training documents that contain a word of the vocabulary.
        max_features: Maximum number of words, of which the most frequent are used; None for no
            limit.
        sublinear_tf: Damp repeated words; only with `"tfidf"`.

    References:
        Salton and Buckley, Term-weighting approaches in automatic text retrieval, 1988.

    When to prefer: for few training documents with a small vocabulary. It does not relate synonyms.
    """

    name: ClassVar[str] = "bow"

    @checked_options
    def __init__(
        self,
        *,
        weighting: Literal["tfidf", "count"] = "tfidf",
        stop_words: Literal["english"] | None = "english",
        min_df: Annotated[int, Field(ge=1)] = 1,
        max_features: Annotated[int, Field(ge=1)] | None = None,
        sublinear_tf: bool = True,
    ) -> None:
        self.options: JSONObject = {
            "weighting": weighting,
            "stop_words": stop_words,
            "min_df": min_df,
            "max_features": max_features,
            "sublinear_tf": sublinear_tf,
        }
        self._stop_words = ENGLISH_STOP_WORDS if stop_words else frozenset()
        self._vocabulary: dict[str, int] = {}
        self._tfidf: TfidfTransformer | None = None
        if weighting == "tfidf":
            self._tfidf = TfidfTransformer(sublinear_tf=sublinear_tf)

    @property
    def dim(self) -> int:
        return len(self._fitted_vocabulary())

    def fit(self, documents: Sequence[Document]) -> Self:
        """Learn vocabulary and idf. Raises CMRError if no word remains."""
        counter = CountVectorizer(
            analyzer=self._content_words,
            min_df=self.options["min_df"],
            max_features=self.options["max_features"],
        )
        try:
            counts = counter.fit_transform(documents)
        except ValueError as error:
            raise CMRError(
                f"bow: the {len(documents)} training documents have no word for the vocabulary "
                f"({error}): lower min_df, or use more texts"
            ) from error
        self._vocabulary = {word: int(index) for word, index in counter.vocabulary_.items()}
        if self._tfidf is not None:
            self._tfidf.fit(counts)
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows of unit length, zero for documents without a known word."""
        vocabulary = self._fitted_vocabulary()
        if not documents:
            return np.zeros((0, len(vocabulary)), dtype=np.float32)

        def known_words(document: Document) -> list[str]:
            # CountVectorizer is slow with words outside the vocabulary.
            return [
                word for word in document_words(document, self.words_version) if word in vocabulary
            ]

        counter = CountVectorizer(analyzer=known_words, vocabulary=vocabulary, dtype=np.float64)
        counts = counter.transform(documents)
        rows = normalize(counts) if self._tfidf is None else self._tfidf.transform(counts)
        dense: FloatArray = rows.astype(np.float32).toarray()
        return dense

    def unknown_words(self, text: str) -> list[str]:
        """Return words outside the vocabulary; stop words only if there are no others."""
        vocabulary = self._fitted_vocabulary()
        unknown = [
            word for word in unique(words(text, self.words_version)) if word not in vocabulary
        ]
        content = [word for word in unknown if word not in self._stop_words]
        return content if content or self.knows((text,)) else unknown

    def knows(self, document: Document) -> bool:
        vocabulary = self._fitted_vocabulary()
        return any(word in vocabulary for word in self._content_words(document))

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        vocabulary = self._fitted_vocabulary()
        in_order = sorted(vocabulary, key=vocabulary.__getitem__)
        arrays = {} if self._tfidf is None else {"idf": np.asarray(self._tfidf.idf_)}
        settings = {"options": self.options, **words_settings(self), "vocabulary": in_order}
        return settings, arrays

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        in_order = expect_vocabulary(settings)
        encoder._vocabulary = {word: index for index, word in enumerate(in_order)}
        if encoder._tfidf is not None:
            idf = expect_array(arrays, "idf", (len(in_order),), np.float64)
            encoder._tfidf.idf_ = idf
        return encoder

    def _content_words(self, document: Document) -> list[str]:
        return [
            word
            for word in document_words(document, self.words_version)
            if word not in self._stop_words
        ]

    def _fitted_vocabulary(self) -> dict[str, int]:
        if not self._vocabulary:
            raise CMRError("bow: not fitted yet: call fit(documents) first")
        return self._vocabulary
