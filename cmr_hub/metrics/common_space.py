"""Metrics of a common space: the modality gap and the separation of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.metrics.retrieval import check_length

if TYPE_CHECKING:
    import numpy.typing as npt


def modality_gap(images: npt.ArrayLike, texts: npt.ArrayLike) -> float:
    """Return the distance between the centres of the two modalities.

        gap = ‖mean(v) − mean(w)‖,  v and w unit vectors; between 0 and 2

    Source: Liang et al., Mind the Gap, NeurIPS 2022, section 2.
    """
    return float(np.linalg.norm(unit_rows(images).mean(0) - unit_rows(texts).mean(0)))


def silhouette(vectors: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Return the mean silhouette of the classes by cosine distance; higher is better separated.

        s(z) = (b − a) / max(a, b),  a: mean distance to the other items of z's class,
                                     b: minimum mean distance to another class

    With unit vectors the mean distance to a class with mean μ is 1 − z·μ, so no pair is computed.
    Source: Rousseeuw, Silhouettes, 1987.

    Args:
        vectors: (N, d) vectors.
        labels: (N,) class numbers; rows below 0 are left out. Single items have silhouette 0.

    Returns:
        The mean silhouette; None for fewer than two classes.

    Raises:
        QueryError: there is not one label for each vector.
    """
    classes = np.asarray(labels)
    check_length("labels", classes, len(np.asarray(vectors)))
    known = classes >= 0
    rows, numbers = unit_rows(vectors)[known], classes[known]
    names, own = np.unique(numbers, return_inverse=True)
    if len(names) < 2 or len(names) >= len(rows):
        return None
    counts = np.bincount(own)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, own, rows)
    distances = 1 - rows @ (sums / counts[:, None]).T
    at = np.arange(len(rows)), own
    # The distance of a row to itself is 0, or 1 for a row of zeros.
    itself = 1 - np.einsum("nd,nd->n", rows, rows)
    mine = (distances[at] * counts[own] - itself) / np.maximum(counts[own] - 1, 1)
    distances[at] = np.inf
    others = distances.min(1)
    widest = np.maximum(mine, others)
    values = np.where(
        (counts[own] > 1) & (widest > 0), (others - mine) / np.where(widest > 0, widest, 1), 0.0
    )
    return float(values.mean())


def unit_rows(rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Scale (N, d) rows to length 1; rows of zeros stay."""
    array = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(lengths > 0, lengths, 1)
