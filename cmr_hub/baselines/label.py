"""Label-based retrieval: classify the query, return what is of its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.baselines.classifier import PENALTIES, ValidationLogits, final_classifiers
from cmr_hub.baselines.search import search_settings

if TYPE_CHECKING:
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid, Settings
    from cmr_hub.models.projector import Projector
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray


class LabelBaseline(Baseline):
    """Query and gallery items are classified, and those of the query's class come first.

        z = one-hot(argmax_k (x' W + b)_k)

    It is class-posterior matching in the limit of T → 0: all items of a class are tied, so what
    the classifiers were unsure of is lost.
    """

    name: ClassVar[str] = "label"
    is_projection: ClassVar[bool] = False
    grid: ClassVar[Grid] = {"image_C": PENALTIES, "text_C": PENALTIES}

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        logits = ValidationLogits.fit(splits)

        def value(settings: Settings) -> float:
            return score(
                one_hot(logits.images[settings["image_C"]]),
                one_hot(logits.texts[settings["text_C"]]),
                splits.validation.labels,
            )

        chosen = search_settings(self.grid, value)
        images, texts = final_classifiers(splits, chosen["image_C"], chosen["text_C"])
        return FittedBaseline(
            ClassEmbedder(images.projector()), ClassEmbedder(texts.projector()), dict(chosen)
        )


@dataclass(frozen=True)
class ClassEmbedder:
    """Feature rows by their most likely class.

    Attributes:
        posteriors: gives those of the classes.
    """

    posteriors: Projector

    def embed(self, rows: FloatArray) -> FloatArray:
        """(N, in_dim) features → (N, K) float32 unit vectors."""
        return one_hot(self.posteriors.embed(rows))


def one_hot(scores: FloatArray | Float64Array) -> FloatArray:
    """(N, K) scores → (N, K) float32 with a 1 at each row's largest."""
    rows: FloatArray = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(1)]
    return rows
