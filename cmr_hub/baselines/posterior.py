"""Class-posterior matching ("semantic matching")."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.preprocessing import normalize

from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.baselines.classifier import PENALTIES, ValidationLogits, final_classifiers
from cmr_hub.baselines.search import search_settings

if TYPE_CHECKING:
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid, Settings
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray

TEMPERATURES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 2.0, 4.0)


class PosteriorBaseline(Baseline):
    """Compare the posteriors of an image classifier and a text classifier.

        z = p / ‖p‖,  p = softmax((x' W + b) / T)

    with W, b of a multinomial logistic regression of each modality (see `Classifier`). The
    temperature T is not calibrated but chosen for ranking, like C: cosine similarity is dominated
    by the largest posteriors, and T controls the influence of the small ones. No pairs are used.

    Source: Rasiwasia et al., A new approach to cross-modal multimedia retrieval, ACM MM 2010.
    """

    name: ClassVar[str] = "posterior"
    grid: ClassVar[Grid] = {
        "image_C": PENALTIES,
        "text_C": PENALTIES,
        "image_temperature": TEMPERATURES,
        "text_temperature": TEMPERATURES,
    }

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        logits = ValidationLogits.fit(splits)

        def value(settings: Settings) -> float:
            return score(
                _posteriors(logits.images[settings["image_C"]], settings["image_temperature"]),
                _posteriors(logits.texts[settings["text_C"]], settings["text_temperature"]),
                splits.validation.labels,
            )

        return self.fitted(splits, search_settings(self.grid, value))

    def fitted(self, splits: TrainingSplits, settings: Settings) -> FittedBaseline:
        """Fit on `splits.final` with these settings."""
        images, texts = final_classifiers(splits, settings["image_C"], settings["text_C"])
        return FittedBaseline(
            images.projector(settings["image_temperature"]),
            texts.projector(settings["text_temperature"]),
            dict(settings),
        )


def _posteriors(logits: Float64Array, temperature: float) -> FloatArray:
    unit: FloatArray = normalize(softmax(logits / temperature, axis=1)).astype(np.float32)
    return unit
