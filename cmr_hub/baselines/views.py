"""Principal axes of the training rows of one modality, linear or with a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

import numpy as np
from scipy.linalg import eigh
from sklearn.metrics.pairwise import euclidean_distances

from cmr_hub.baselines.linear import Float64Array, fit_scaling, scale

if TYPE_CHECKING:
    from cmr_hub.models.projector import InputScaling
    from cmr_hub.types import FloatArray

# Axes shorter than this share of the longest axis are rounding errors of float32 features.
_SHORTEST_AXIS: Final = 1e-6

_KERNEL_AXES: Final = 512
_MANY_ROWS: Final = 10_000


class View(Protocol):
    """N centred training rows X = U diag(s) Vᵀ, of rank r.

    Attributes:
        scores: U (N, r), with orthonormal columns.
        lengths: s (r,) > 0, in descending order.
    """

    @property
    def scores(self) -> Float64Array: ...

    @property
    def lengths(self) -> Float64Array: ...

    def coordinates(self, rows: FloatArray) -> Float64Array:
        """Map (M, in_dim) features to (M, r) coordinates on V; U diag(s) for the training rows."""
        ...


@dataclass(frozen=True)
class LinearView:
    """A view of the scaled rows (principal component analysis).

    Attributes:
        scaling: input scaling.
        mean: (in_dim,) mean of the scaled rows, zero up to rounding.
        axes: V (in_dim, r), with orthonormal columns.
    """

    scaling: InputScaling
    mean: Float64Array
    scores: Float64Array
    lengths: Float64Array
    axes: Float64Array

    @classmethod
    def fit(cls, rows: FloatArray) -> Self:
        """Fit on (N, in_dim) training rows.

        Raises:
            TrainingError: all rows are the same.
        """
        scaling = fit_scaling(rows)
        scaled = scale(scaling, rows)
        mean = scaled.mean(0)
        if len(rows) > _MANY_ROWS:
            return cls(scaling, mean, *_principal_axes(scaled - mean))
        scores, lengths, axes = np.linalg.svd(scaled - mean, full_matrices=False)
        kept = _long_enough(lengths)
        return cls(scaling, mean, scores[:, kept], lengths[kept], axes[kept].T)

    def coordinates(self, rows: FloatArray) -> Float64Array:
        centred: Float64Array = scale(self.scaling, rows) - self.mean
        return centred @ self.axes


@dataclass(frozen=True)
class KernelView:
    """A view of the rows under a Gaussian kernel (kernel principal component analysis).

        k(a, b) = exp(−‖a − b‖² / (c·h)),  h the mean of ‖a − b‖² over pairs (i, j) of training rows

    Centred in the kernel space: k'(a, b) = k(a, b) − mean_j k(a, j) − mean_j k(j, b) + mean_jl
    k(j, l). Only the 512 longest axes are kept; for a few thousand rows they contain nearly all of
    the variance.

    Source: Schölkopf, Smola and Müller, Nonlinear component analysis as a kernel eigenvalue
    problem, Neural Computation 10 (1998).

    Attributes:
        rows: (N, in_dim) scaled training rows.
        bandwidth: c·h.
        row_means: (N,), mean_j k(i, j).
    """

    scaling: InputScaling
    rows: Float64Array
    bandwidth: float
    row_means: Float64Array
    scores: Float64Array
    lengths: Float64Array

    @classmethod
    def fit(cls, rows: FloatArray, width: float) -> Self:
        """Fit on (N, in_dim) training rows; `width` is c.

        Raises:
            TrainingError: all rows are the same.
        """
        scaling = fit_scaling(rows)
        scaled = scale(scaling, rows)
        distances = euclidean_distances(scaled, squared=True)
        bandwidth = width * float(distances.mean())
        kernel = np.exp(-distances / bandwidth)
        row_means = kernel.mean(0)
        centred = kernel - row_means - row_means[:, None] + row_means.mean()
        last = len(rows) - 1
        values, scores = eigh(centred, subset_by_index=[max(0, last + 1 - _KERNEL_AXES), last])
        lengths = np.sqrt(np.maximum(values[::-1], 0))
        kept = _long_enough(lengths)
        return cls(scaling, scaled, bandwidth, row_means, scores[:, ::-1][:, kept], lengths[kept])

    def coordinates(self, rows: FloatArray) -> Float64Array:
        distances = euclidean_distances(scale(self.scaling, rows), self.rows, squared=True)
        kernel = np.exp(-distances / self.bandwidth)
        centred = kernel - kernel.mean(1, keepdims=True) - self.row_means + self.row_means.mean()
        coordinates: Float64Array = centred @ (self.scores / self.lengths)
        return coordinates


def _principal_axes(rows: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Compute U, s and V of (N, d) rows from their d × d product.

    For N ≫ d this is many times faster than decomposing the rows. Squaring loses half of the
    digits, but the precision is still better than that of float32 features.
    """
    values, axes = eigh(rows.T @ rows)
    lengths = np.sqrt(np.maximum(values[::-1], 0))
    kept = _long_enough(lengths)
    axes, lengths = axes[:, ::-1][:, kept], lengths[kept]
    return rows @ (axes / lengths), lengths, axes


def _long_enough(lengths: Float64Array) -> slice:
    """Return the slice of axes that are not rounding errors; `lengths` are in descending order."""
    return slice(int(np.count_nonzero(lengths > _SHORTEST_AXIS * lengths[0])))
