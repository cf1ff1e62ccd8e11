"""Kernel canonical correlation analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.preprocessing import normalize

from cmr_hub.baselines.base import MOST_PAIRS
from cmr_hub.baselines.canonical import CanonicalBaseline
from cmr_hub.baselines.cca import DIMS, POWERS, RIDGES
from cmr_hub.baselines.views import KernelView

if TYPE_CHECKING:
    from cmr_hub.baselines.base import FittedBaseline
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray

WIDTHS = (0.3, 1.0, 3.0, 10.0)


class KCCABaseline(CanonicalBaseline[KernelView]):
    """CCA between Gaussian kernel spaces; with a linear kernel it is `cca`.

    Centred kernel matrices K = U S² Uᵀ replace XXᵀ in `canonical_directions`. New rows are embedded
    by their kernel values with all training rows, which are therefore stored.

    Source: Hardoon, Szedmak and Shawe-Taylor, Canonical correlation analysis: an overview with
    application to learning methods, Neural Computation 16 (2004).
    """

    name: ClassVar[str] = "kcca"
    is_projection: ClassVar[bool] = False
    grid: ClassVar[Grid] = {
        "image_width": WIDTHS,
        "text_width": WIDTHS,
        "image_ridge": RIDGES,
        "text_ridge": RIDGES,
        "dim": DIMS,
        "power": POWERS,
    }

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        return super()._fit(splits.thinned(MOST_PAIRS, seed), seed, score)

    def view(self, rows: FloatArray, width: float) -> KernelView:
        return KernelView.fit(rows, width)

    def embedder(self, view: KernelView, directions: Float64Array) -> ViewEmbedder:
        return ViewEmbedder(view, directions)


@dataclass(frozen=True)
class ViewEmbedder:
    """Map features to their coordinates in `view`, multiplied by `directions` (r, d)."""

    view: KernelView
    directions: Float64Array

    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, d) float32 unit vectors."""
        unit: FloatArray = normalize(self.view.coordinates(rows) @ self.directions).astype(
            np.float32
        )
        return unit
