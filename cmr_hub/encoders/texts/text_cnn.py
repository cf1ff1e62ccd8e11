"""Word vectors and convolutions over neighbouring words."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from pydantic import Field

from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.glove import GloveEncoder
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.state import expect_array, restore_options
from cmr_hub.encoders.texts.text_cnn_network import TextCNN, padded
from cmr_hub.encoders.texts.tokens import sentences, words
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.float16 import rounded_to_half
from cmr_hub.types import Document, FloatArray, IntArray, JSONObject

_CHUNK = 256  # number of sentences per batch, sorted by length to save padding
_READER = "reader/"


class TextCNNEncoder(TextEncoder):
    """GloVe vectors and convolutions that capture word order, which a bag of words ignores.

    A sentence of words w_1 ... w_n with GloVe vectors v becomes

        [ Σ idf(w_t) v_t / ‖Σ idf(w_t) v_t‖ ;  max_t h_t ],
        h = g + relu(conv(g)),  g = relu(conv(v)).

    Both convolutions span three neighbouring words, so h_t depends on five. Unknown words are
    removed first. The row of a document is the mean of the rows of its sentences.

    `fit` trains the vectors and initialises the convolutions at random. The convolutions are to be
    trained with pictures, as in scripts/default/align.py; see `reader` and `with_reader`.

    Args:
        dim, window, min_count, epochs: Settings of GloVe with context on both sides; see
            GloveEncoder.
        filters: Length of h_t.
        seed: Random seed of vectors and convolutions.

    Vectors and weights are rounded to float16 to save disk space.

    References:
        Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014.

    When to prefer: if it is trained with pictures, and "a red car beside a blue house" must differ
    from "a blue car beside a red house".
    """

    name: ClassVar[str] = "text-cnn"

    @checked_options
    def __init__(
        self,
        *,
        dim: Annotated[int, Field(ge=1)] = 200,
        window: Annotated[int, Field(ge=1)] = 5,
        min_count: Annotated[int, Field(ge=1)] = 3,
        epochs: Annotated[int, Field(ge=1)] = 30,
        filters: Annotated[int, Field(ge=1)] = 256,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.options: JSONObject = {
            "dim": dim,
            "window": window,
            "min_count": min_count,
            "epochs": epochs,
            "filters": filters,
            "seed": seed,
        }
        self._words: GloveEncoder | None = None
        self._index: dict[str, int] = {}
        self._reader: TextCNN | None = None

    @property
    def glove(self) -> GloveEncoder:
        """Encoder of the word vectors. Raises CMRError before `fit`."""
        if self._words is None:
            raise CMRError(f"{self.name}: not fitted yet: call fit(documents) first")
        return self._words

    @property
    def dim(self) -> int:
        return self.glove.dim + int(self.options["filters"])

    def fit(self, documents: Sequence[Document]) -> Self:
        """Train the word vectors, and initialise the convolutions at random."""
        options = {key: value for key, value in self.options.items() if key != "filters"}
        trained = GloveEncoder(**options, context="both").fit(documents)
        settings, arrays = trained.state()
        halves = {name: rounded_to_half(array) for name, array in arrays.items()}
        self._set_words(GloveEncoder.from_state(settings, halves))
        vectors, weights = halves["vectors"], halves["weights"]
        network = TextCNN.drawn(vectors, weights, self.options["filters"], self.options["seed"])
        self._reader = network.rounded()
        return self

    def token_ids(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the known words of each sentence as (n,) row numbers of the vectors, in order."""
        self._require_fit()
        index, version = self._index, self.glove.words_version
        return [
            np.array(
                [index[word] for word in words(text, version) if word in index], dtype=np.int64
            )
            for text in texts
        ]

    def reader(self) -> TextCNN:
        """Return a trainable copy of the network, which maps token ids to rows of sentences."""
        return copy.deepcopy(self._require_fit())

    def with_reader(self, trained: TextCNN) -> Self:
        """Return this encoder with the trained network that `reader` returned."""
        encoder = type(self)(**self.options)
        encoder._set_words(self.glove)
        encoder._reader = trained.rounded()
        return encoder

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32, zero rows for documents without a known word."""
        reader = self._require_fit()
        texts = [(number, text) for number, doc in enumerate(documents) for text in sentences(doc)]
        ids = self.token_ids([text for _, text in texts])
        lengths = np.array([len(row) for row in ids])
        known = [int(row) for row in np.argsort(lengths, kind="stable") if lengths[row]]
        sums = np.zeros((len(documents), self.dim), dtype=np.float32)
        counts = np.zeros(len(documents), dtype=np.float32)
        for start in range(0, len(known), _CHUNK):
            rows = known[start : start + _CHUNK]
            with torch.inference_mode():
                vectors = reader(padded([ids[row] for row in rows])).numpy()
            document_of = np.array([texts[row][0] for row in rows])
            np.add.at(sums, document_of, vectors)
            np.add.at(counts, document_of, 1)
        sums /= counts.clip(1)[:, np.newaxis]
        return sums

    def unknown_words(self, text: str) -> list[str]:
        return self.glove.unknown_words(text)

    def knows(self, document: Document) -> bool:
        return self.glove.knows(document)

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        reader = self._require_fit()
        settings, arrays = self.glove.state()
        weights = {f"{_READER}{name}": value for name, value in reader.weights().items()}
        return {"options": self.options, "words": settings}, {**arrays, **weights}

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        stored = settings.get("words")
        if not isinstance(stored, dict):
            raise ModelFormatError(f"{cls.name}: the settings of its word vectors are missing")
        glove = GloveEncoder.from_state(stored, arrays)
        _, words_arrays = glove.state()
        if glove.options["vectors"] is not None or set(words_arrays) != {"vectors", "weights"}:
            raise ModelFormatError(f"{cls.name}: its word vectors are of another kind")
        if glove.dim != encoder.options["dim"]:
            raise ModelFormatError(
                f"{cls.name}: word vectors of {glove.dim} numbers, not {encoder.options['dim']}"
            )
        filters = encoder.options["filters"]
        shapes = TextCNN.shapes(glove.dim, filters)
        weights = {
            name: expect_array(arrays, f"{_READER}{name}", shape, np.float32)
            for name, shape in shapes.items()
        }
        encoder._set_words(glove)
        network = TextCNN(words_arrays["vectors"], words_arrays["weights"], filters)
        encoder._reader = network.with_weights(weights)
        return encoder

    def _set_words(self, glove: GloveEncoder) -> None:
        self._words = glove
        self._index = {word: row for row, word in enumerate(glove.vocabulary)}

    def _require_fit(self) -> TextCNN:
        if self._reader is None:
            raise CMRError(f"{self.name}: not fitted yet: call fit(documents) first")
        return self._reader
