"""word2vec: word vectors that predict neighbouring words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from cmr_hub.encoders.optional import optional_import
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.word_vectors import Aggregation, Pooling, Tokens, WordVectorEncoder
from cmr_hub.errors import CMRError
from cmr_hub.types import FloatArray


class Word2VecEncoder(WordVectorEncoder):
    """word2vec, trained on the training text by gensim or read from a file.

    Equation: skip-gram with negative sampling maximises, over words w and neighbours c,
    log σ(v_cᵀ v_w) + Σ_{n ~ P} log σ(−v_nᵀ v_w); CBOW replaces v_w by the mean of the neighbours.

    Args:
        vectors: A file in a format of word2vec, or in the text format of GloVe; None trains.
        limit: Read only the first words of `vectors`, which are sorted by falling frequency.
        dim, window, min_count, epochs, seed: Settings of training, which uses one thread so that
            it is reproducible.
        skip_gram: Use skip-gram instead of CBOW.
        pooling, aggregation, remove_component: See WordVectorEncoder.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases and their
        Compositionality, NeurIPS 2013.

    When to prefer: with pretrained vectors. Among encoders trained on a few thousand sentences it
    is the best one after a bag of words.
    """

    name: ClassVar[str] = "word2vec"

    @checked_options
    def __init__(
        self,
        *,
        vectors: Path | None = None,
        limit: Annotated[int, Field(ge=1)] | None = None,
        dim: Annotated[int, Field(ge=1)] = 100,
        window: Annotated[int, Field(ge=1)] = 10,
        min_count: Annotated[int, Field(ge=1)] = 2,
        epochs: Annotated[int, Field(ge=1)] = 40,
        skip_gram: bool = True,
        seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
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
                "min_count": min_count,
                "epochs": epochs,
                "skip_gram": skip_gram,
                "seed": seed,
                "pooling": pooling,
                "aggregation": aggregation,
                "remove_component": remove_component,
            }
        )

    def _train(self, training: list[Tokens]) -> tuple[list[str], FloatArray]:
        options = self.options
        models = optional_import("gensim.models", self.name, "study")
        try:
            model = models.Word2Vec(
                sentences=training,
                vector_size=options["dim"],
                window=options["window"],
                min_count=options["min_count"],
                epochs=options["epochs"],
                sg=int(options["skip_gram"]),
                seed=options["seed"],
                workers=1,
            )
        except RuntimeError as error:
            raise CMRError(
                f"word2vec: no word occurs {options['min_count']} times in the training text: "
                "lower min_count, or use more text"
            ) from error
        return list(model.wv.index_to_key), np.asarray(model.wv.vectors, dtype=np.float32)
