"""LDA: a document as a mixture of topics, each of which is a distribution over words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from cmr_hub.encoders.optional import optional_import
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.lock import CopyableLock
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.state import (
    expect_array,
    expect_vocabulary,
    restore_options,
    words_settings,
)
from cmr_hub.encoders.texts.tokens import document_words, unique, words
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.types import Document, FloatArray, JSONObject


class LdaEncoder(TextEncoder):
    """Latent Dirichlet allocation by online variational Bayes (gensim); rows sum to one.

    A row is the posterior mean of the topic proportions of the document, γ_k / Σ_j γ_j, where
    γ_k = α_k + Σ_w n_w φ_wk and φ_wk ∝ exp(E[log θ_k] + E[log β_kw]). Inference always starts from
    the same γ, so that a row depends only on its document.

    Args:
        topics: K, the length of a row.
        passes: Number of passes over the training documents.
        stop_words: `"english"` removes scikit-learn's English stop words; None keeps all words.
        min_df: Minimum number of training documents that contain a word of the vocabulary.
        seed: Random seed of the training and of γ.

    References:
        Blei, Ng and Jordan, Latent Dirichlet Allocation, JMLR 2003; Hoffman, Blei and Bach,
        Online Learning for Latent Dirichlet Allocation, NeurIPS 2010.

    When to prefer: for long texts, and for comparison with the classic features of ten topics.
    """

    name: ClassVar[str] = "lda"

    @checked_options
    def __init__(
        self,
        *,
        topics: Annotated[int, Field(ge=2)] = 100,
        passes: Annotated[int, Field(ge=1)] = 40,
        stop_words: Literal["english"] | None = "english",
        min_df: Annotated[int, Field(ge=1)] = 2,
        seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    ) -> None:
        self.options: JSONObject = {
            "topics": topics,
            "passes": passes,
            "stop_words": stop_words,
            "min_df": min_df,
            "seed": seed,
        }
        self._stop_words = ENGLISH_STOP_WORDS if stop_words else frozenset()
        self._index: dict[str, int] = {}
        self._topic_words: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._alpha: FloatArray = np.zeros(0, dtype=np.float32)
        self._model: Any = None
        self._inferring = CopyableLock()

    @property
    def dim(self) -> int:
        self._require_fit()
        return len(self._alpha)

    def fit(self, documents: Sequence[Document]) -> Self:
        """Learn the topics. Raises CMRError if no word remains."""
        models = optional_import("gensim.models", self.name, "study")
        tokenised = [self._content_words(document) for document in documents]
        in_documents = Counter(word for tokens in tokenised for word in set(tokens))
        vocabulary = sorted(
            word for word, count in in_documents.items() if count >= self.options["min_df"]
        )
        if not vocabulary:
            raise CMRError(
                f"lda: no word occurs in {self.options['min_df']} of the {len(documents)} "
                "training documents: lower min_df, or use more text"
            )
        self._index = {word: number for number, word in enumerate(vocabulary)}
        trained = models.LdaModel(
            [self._counts(tokens) for tokens in tokenised],
            id2word=dict(enumerate(vocabulary)),
            num_topics=self.options["topics"],
            passes=self.options["passes"],
            alpha="auto",
            random_state=self.options["seed"],
            eval_every=None,
        )
        self._topic_words = np.ascontiguousarray(trained.state.get_lambda(), dtype=np.float32)
        self._alpha = np.asarray(trained.alpha, dtype=np.float32)
        self._prepare()
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows that sum to one, zero for documents without a known word."""
        self._require_fit()
        utils = optional_import("gensim.utils", self.name, "study")
        rows = np.zeros((len(documents), self.dim), dtype=np.float32)
        for number, document in enumerate(documents):
            counts = self._counts(self._content_words(document))
            if counts:
                # γ is sampled from the generator of the model, which threads must not share.
                with self._inferring:
                    self._model.random_state = utils.get_random_state(self.options["seed"])
                    rows[number] = self._model.inference([counts])[0][0]
        totals = rows.sum(axis=1, keepdims=True)
        shares: FloatArray = np.divide(rows, totals, out=rows, where=totals > 0)
        return shares

    def unknown_words(self, text: str) -> list[str]:
        """Return words outside the vocabulary; stop words only if there are no others."""
        self._require_fit()
        unknown = [
            word for word in unique(words(text, self.words_version)) if word not in self._index
        ]
        content = [word for word in unknown if word not in self._stop_words]
        return content if content or self.knows((text,)) else unknown

    def knows(self, document: Document) -> bool:
        self._require_fit()
        return any(word in self._index for word in document_words(document, self.words_version))

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        self._require_fit()
        return (
            {"options": self.options, **words_settings(self), "vocabulary": list(self._index)},
            {"topic_words": self._topic_words, "alpha": self._alpha},
        )

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        vocabulary = expect_vocabulary(settings)
        topics = encoder.options["topics"]
        encoder._index = {word: number for number, word in enumerate(vocabulary)}
        encoder._alpha = expect_array(arrays, "alpha", (topics,), np.float32)
        encoder._topic_words = expect_array(
            arrays, "topic_words", (topics, len(vocabulary)), np.float32
        )
        if not ((encoder._alpha > 0).all() and (encoder._topic_words > 0).all()):
            raise ModelFormatError("lda: the parameters of a Dirichlet must be positive")
        encoder._prepare()
        return encoder

    def _prepare(self) -> None:
        """Build the gensim model for inference from the fitted or loaded arrays."""
        ldamodel = optional_import("gensim.models.ldamodel", self.name, "study")
        self._model = ldamodel.LdaModel(
            id2word=dict(enumerate(self._index)),
            num_topics=self.options["topics"],
            alpha=self._alpha,
            random_state=self.options["seed"],
        )
        self._model.expElogbeta = np.exp(ldamodel.dirichlet_expectation(self._topic_words))

    def _counts(self, tokens: list[str]) -> list[tuple[int, int]]:
        known = Counter(self._index[word] for word in tokens if word in self._index)
        return sorted(known.items())

    def _content_words(self, document: Document) -> list[str]:
        return [
            word
            for word in document_words(document, self.words_version)
            if word not in self._stop_words
        ]

    def _require_fit(self) -> None:
        if self._model is None:
            raise CMRError("lda: not fitted yet: call fit(documents) first")
