"""Canonical directions of paired views, on which CCA, kernel CCA and PLS are based."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from sklearn.preprocessing import normalize

from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.baselines.search import search_settings

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Embedder
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid, Settings
    from cmr_hub.baselines.views import View
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray


ViewT = TypeVar("ViewT", bound="View")


@dataclass(frozen=True)
class CanonicalDirections:
    """Pairs of directions, best first.

    Attributes:
        images, texts: (r₁, d) and (r₂, d), in the coordinates of their views; column k of both is
            a pair.
        correlations: c (d,) in descending order; covariances for PLS.
    """

    images: Float64Array
    texts: Float64Array
    correlations: Float64Array

    def weighted(self, settings: Settings) -> tuple[Float64Array, Float64Array]:
        """Return the first `dim` pairs, each multiplied by (c_k / c_1)^`power`."""
        dim = int(settings["dim"])
        strongest = self.correlations[0] or 1.0  # zero if the views are uncorrelated
        weights = (self.correlations[:dim] / strongest) ** settings["power"]
        return self.images[:, :dim] * weights, self.texts[:, :dim] * weights


def canonical_directions(
    images: View, texts: View, image_ridge: float, text_ridge: float
) -> CanonicalDirections:
    """Solve ridge-regularised canonical correlation analysis in closed form.

    With X = U₁S₁V₁ᵀ and Y = U₂S₂V₂ᵀ the centred views of N pairs, the directions a, b maximise

        aᵀXᵀY b   subject to   aᵀ(XᵀX + ρ₁I)a = bᵀ(YᵀY + ρ₂I)b = 1,

    with each pair uncorrelated with the previous ones. With a = V₁(S₁² + ρ₁I)^−½ p and
    b = V₂(S₂² + ρ₂I)^−½ q, the p, q are the singular vectors of

        M = (S₁² + ρ₁I)^−½ S₁ U₁ᵀU₂ S₂ (S₂² + ρ₂I)^−½

    and its singular values are the canonical correlations. No covariance matrix is formed and no
    matrix is larger than N×N, so this is stable for a few hundred pairs of thousands of dimensions.

    ρ is `ridge` times the mean of S². An infinite ridge denotes the limit, which depends only on
    XᵀY: a = V₁p, the directions of partial least squares.

    Source: Hotelling, Relations between two sets of variates, Biometrika 28 (1936); the ridge:
    Vinod, Canonical ridge and econometrics of joint production, J. Econometrics 4 (1976).
    """
    left, right = _shrinkage(images, image_ridge), _shrinkage(texts, text_ridge)
    core = (left * images.lengths)[:, None] * (images.scores.T @ texts.scores)
    p, correlations, q = np.linalg.svd(core * (texts.lengths * right), full_matrices=False)
    return CanonicalDirections(left[:, None] * p, right[:, None] * q.T, correlations)


def _shrinkage(view: View, ridge: float) -> Float64Array:
    if math.isinf(ridge):
        return np.ones_like(view.lengths)
    squares = view.lengths**2
    shrinkage: Float64Array = 1 / np.sqrt(squares + ridge * squares.mean())
    return shrinkage


class CanonicalBaseline(Baseline, Generic[ViewT]):
    """Base class of baselines that embed by canonical directions.

    The settings are chosen by `search_settings`:
        image_ridge, text_ridge: see `canonical_directions`. Default: infinite;
        dim: number of directions;
        power: each direction is weighted by this power of its correlation, so that cosine
            similarity depends most on the directions that are correlated most (Gong et al., IJCV
            2014, arXiv 1212.4522);
        image_width, text_width: widths of the kernels, if any.
    """

    grid: ClassVar[Grid]
    takes_unlabelled: ClassVar[bool] = True

    @abstractmethod
    def view(self, rows: FloatArray, width: float) -> ViewT:
        """Fit the view of (N, in_dim) training rows; `width` is the width of its kernel, if any."""

    @abstractmethod
    def embedder(self, view: ViewT, directions: Float64Array) -> Embedder:
        """Return an embedder that multiplies coordinates in `view` by `directions`."""

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        known, validation = splits.fit, splits.validation

        @cache
        def image_view(width: float) -> tuple[ViewT, Float64Array]:
            view = self.view(known.images, width)
            return view, view.coordinates(validation.images)

        @cache
        def text_view(width: float) -> tuple[ViewT, Float64Array]:
            view = self.view(known.texts, width)
            return view, view.coordinates(validation.texts)

        @lru_cache(maxsize=4)  # `dim` and `power` are tried on the same directions
        def directions(
            image_width: float, text_width: float, image_ridge: float, text_ridge: float
        ) -> CanonicalDirections:
            return canonical_directions(
                image_view(image_width)[0], text_view(text_width)[0], image_ridge, text_ridge
            )

        def value(settings: Settings) -> float:
            widths = _widths(settings)
            images, texts = directions(*widths, *_ridges(settings)).weighted(settings)
            return score(
                normalize(image_view(widths[0])[1] @ images).astype(np.float32),
                normalize(text_view(widths[1])[1] @ texts).astype(np.float32),
                validation.labels,
            )

        return self.fitted(splits, search_settings(self.grid, value))

    def fitted(self, splits: TrainingSplits, settings: Settings) -> FittedBaseline:
        """Fit on `splits.final` with these settings."""
        image_width, text_width = _widths(settings)
        image = self.view(splits.final.images, image_width)
        text = self.view(splits.final.texts, text_width)
        images, texts = canonical_directions(image, text, *_ridges(settings)).weighted(settings)
        return FittedBaseline(
            self.embedder(image, images),
            self.embedder(text, texts),
            {**settings, "dim": images.shape[1]},
        )


def _widths(settings: Settings) -> tuple[float, float]:
    return settings.get("image_width", 1.0), settings.get("text_width", 1.0)


def _ridges(settings: Settings) -> tuple[float, float]:
    return settings.get("image_ridge", math.inf), settings.get("text_ridge", math.inf)
