"""GloVe: word vectors whose products approximate the logarithms of co-occurrence counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field
from tqdm import trange

from cmr_hub.encoders.texts.glove_trainer import Context, GloveTrainer, cooccurrence
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.word_vectors import Aggregation, Pooling, Tokens, WordVectorEncoder
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.types import FloatArray, JSONObject


def index_words(training: list[Tokens], min_count: int) -> tuple[list[str], list[list[int]]]:
    """Return the vocabulary and the sentences as indices of its words.

    The vocabulary has the words with at least `min_count` occurrences, the most frequent first.
    Other words are left out of the sentences.
    """
    counts = Counter(word for tokens in training for word in tokens)
    frequent = [word for word, count in counts.items() if count >= min_count]
    vocabulary = sorted(frequent, key=lambda word: (-counts[word], word))
    index = {word: number for number, word in enumerate(vocabulary)}
    return vocabulary, [[index[word] for word in tokens if word in index] for tokens in training]


class GloveEncoder(WordVectorEncoder):
    """GloVe, trained on the training text or read from a file.

    Equation: J = Σ_ij f(X_ij) (v_iᵀṽ_j + b_i + b̃_j − log X_ij)²,  f(x) = min(1, (x/x_max)^α);
    the vector of a word is v + ṽ. See GloveTrainer.

    Args:
        vectors: A file in the text format of GloVe, or in a format of word2vec; None trains.
        limit: Read only the first words of `vectors`, which are sorted by falling frequency.
        dim, epochs, seed, x_max, alpha: Settings of training. Longer texts need fewer epochs.
        window, context: Maximum distance of two words, and whether the context of a word is the
            words before it (`"left"`) or on both sides (`"both"`). A short context on the left
            makes words of one kind similar (dog, collie), and a wide context on both sides makes
            words of one scene similar (dog, leash).
        min_count: Minimum number of occurrences of a word with a vector.
        pooling, aggregation, remove_component: See WordVectorEncoder.

    Attributes:
        curve: J of every epoch of training; empty if the vectors were read.

    References:
        Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, EMNLP 2014.

    When to prefer: with pretrained vectors, which cover words outside the training text. In
    training, its epochs are faster than in word2vec, and J shows the progress.
    """

    name: ClassVar[str] = "glove"

    @checked_options
    def __init__(
        self,
        *,
        vectors: Path | None = None,
        limit: Annotated[int, Field(ge=1)] | None = None,
        dim: Annotated[int, Field(ge=1)] = 100,
        window: Annotated[int, Field(ge=1)] = 2,
        context: Context = "left",
        min_count: Annotated[int, Field(ge=1)] = 2,
        epochs: Annotated[int, Field(ge=1)] = 50,
        x_max: Annotated[float, Field(gt=0)] = 100.0,
        alpha: Annotated[float, Field(gt=0)] = 0.75,
        seed: Annotated[int, Field(ge=0)] = 0,
        pooling: Pooling = "tfidf",
        aggregation: Aggregation = "sentence-mean",
        remove_component: bool = False,
    ) -> None:
        super().__init__(
            {
                "vectors": None if vectors is None else str(vectors),
                "limit": limit,
                "dim": dim,
                "window": window,
                "context": context,
                "min_count": min_count,
                "epochs": epochs,
                "x_max": x_max,
                "alpha": alpha,
                "seed": seed,
                "pooling": pooling,
                "aggregation": aggregation,
                "remove_component": remove_component,
            }
        )
        self.curve: list[float] = []

    def _train(self, training: list[Tokens]) -> tuple[list[str], FloatArray]:
        options = self.options
        vocabulary, indexed = index_words(training, options["min_count"])
        counts = cooccurrence(indexed, len(vocabulary), options["window"], options["context"])
        if counts.nnz == 0:
            raise CMRError(
                f"glove: no two words that occur {options['min_count']} times in the training "
                "text occur together: lower min_count, or use more text"
            )
        trainer = GloveTrainer(
            counts,
            options["dim"],
            seed=options["seed"],
            x_max=options["x_max"],
            alpha=options["alpha"],
        )
        epochs = trange(options["epochs"], desc="glove", unit="epoch", disable=None, delay=1.0)
        self.curve = [trainer.epoch() for _ in epochs]
        return vocabulary, trainer.vectors

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        settings, arrays = super().state()
        return {**settings, "curve": self.curve}, arrays

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = super().from_state(settings, arrays)
        curve = settings.get("curve")
        if not isinstance(curve, list) or not all(isinstance(part, float) for part in curve):
            raise ModelFormatError("glove: the curve must be a list of numbers")
        encoder.curve = curve
        return encoder
