"""Label-based retrieval: classify the query and return items of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.baselines.classifier import PENALTIES, ValidationLogits, final_classifiers
from cmr_hub.baselines.search import search_settings

if TYPE_CHECKING:
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid, Settings
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray

_COLD: Final = 1e-6
"""Temperature at which posteriors are one-hot in float32, unless two classes are equally likely."""


class LabelBaseline(Baseline):
    """Classify query and gallery items, and rank items of the query's class first.

        z = one-hot(argmax_k (x' W + b)_k)

    This is class-posterior matching in the limit T → 0: all items of a class are tied, so the
    uncertainty of the classifiers is lost. The modalities of query and gallery may be the same.
    """

    name: ClassVar[str] = "label"
    grid: ClassVar[Grid] = {"image_C": PENALTIES, "text_C": PENALTIES}

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        logits = ValidationLogits.fit(splits)

        def value(settings: Settings) -> float:
            return score(
                _one_hot(logits.images[settings["image_C"]]),
                _one_hot(logits.texts[settings["text_C"]]),
                splits.validation.labels,
            )

        chosen = search_settings(self.grid, value)
        images, texts = final_classifiers(splits, chosen["image_C"], chosen["text_C"])
        return FittedBaseline(images.projector(_COLD), texts.projector(_COLD), dict(chosen))


def _one_hot(scores: Float64Array) -> FloatArray:
    """Return (N, K) float32 with a 1 at the largest score of each row."""
    rows: FloatArray = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(1)]
    return rows
