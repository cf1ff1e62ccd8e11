"""Class posteriors and CCA side by side, to rank classes and to find the partner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.baselines.cca import CCABaseline
from cmr_hub.baselines.posterior import PosteriorBaseline
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.joining import with_linear

if TYPE_CHECKING:
    from torch import Tensor

    from cmr_hub.baselines.base import Embedder
    from cmr_hub.models.projector import Projector
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray

SHARES = (*(share / 40 for share in range(36, 27, -1)), 0.65, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


class PosteriorCCABaseline(Baseline):
    """Direct sum of the spaces of `posterior` and `cca`.

        z = (√(1−a) · p/‖p‖, √a · c/‖c‖),  so that  cos(z, z') = (1−a) cos(p, p') + a cos(c, c')

    The posteriors p rank classes; among items of one class they are nearly equal, and there the
    canonical coordinates c decide. The share a is the largest of SHARES with which the validation
    score is not below that of the posteriors alone, and CCA's settings are those with which the sum
    then finds the partner best (mean reciprocal rank on the validation pairs).
    """

    name: ClassVar[str] = "posterior-cca"

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        validation, posterior, cca = splits.validation, PosteriorBaseline(), CCABaseline()
        known = replace(splits, refit=None)
        classes = posterior.fit(known, seed, score)
        own = classes.images.embed(validation.images), classes.texts.embed(validation.texts)
        alone = score(*own, validation.labels)

        def summed(images: FloatArray, texts: FloatArray) -> tuple[float, float]:
            """Return the share for these canonical coordinates, and how the partner is found."""
            for share in SHARES:
                both = _beside(own[0], images, share), _beside(own[1], texts, share)
                if share == SHARES[-1] or score(*both, validation.labels) >= alone:
                    break
            # Without labels, only the partner is relevant.
            return share, validation_map(*both, np.full(len(validation), -1))

        partners = cca.fit(known, seed, lambda images, texts, _: summed(images, texts)[1])
        share, _ = summed(
            partners.images.embed(validation.images), partners.texts.embed(validation.texts)
        )
        classes = posterior.fitted(splits, classes.settings)
        partners = cca.fitted(splits, partners.settings)
        settings = {**classes.settings, **partners.settings, "share": share}
        return FittedBaseline(
            _joined(classes.images, partners.images, share),
            _joined(classes.texts, partners.texts, share),
            settings,
        )


def _beside(classes: FloatArray, partners: FloatArray, share: float) -> FloatArray:
    return np.hstack([classes * np.float32((1 - share) ** 0.5), partners * np.float32(share**0.5)])


def _joined(classes: Embedder, partners: Embedder, share: float) -> Projector:
    """Return one projector; both parts scale their inputs in the same way."""
    linear = cast("Projector", partners).layers[-1]
    return with_linear(cast("Projector", classes), cast("Tensor", linear.weight), share)
