"""Metrics of a common space: the modality gap and the separation of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.metrics.retrieval import check_length

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import IntArray


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

    The mean distance of a unit vector z to a class with mean μ is 1 − z·μ, so no pairwise distance
    is computed.
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


@dataclass(frozen=True)
class Clustering:
    """The clusters that k-means finds, compared with the classes.

    Attributes:
        clusters: (N,) number of each vector's cluster, from 0, by decreasing size.
        purity: share of the vectors with a class whose class is the most frequent of their cluster.
        nmi: normalised mutual information of clusters and classes, from 0 to 1.
    """

    clusters: IntArray
    purity: float
    nmi: float


def cluster(vectors: npt.ArrayLike, labels: npt.ArrayLike) -> Clustering | None:
    """Cluster unit vectors by k-means, with as many clusters as there are classes.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, chapter 16.

    Args:
        vectors: (N, d) vectors, scaled to length 1.
        labels: (N,) class numbers; rows below 0 are clustered but not compared.

    Returns:
        None for fewer than two classes, or fewer distinct vectors than classes.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    classes, rows = np.asarray(labels), unit_rows(vectors)
    check_length("labels", classes, len(rows))
    known = classes >= 0
    count = len(np.unique(classes[known]))
    if count < 2 or len(np.unique(rows, axis=0)) < count:
        return None
    numbers = KMeans(count, n_init=4, random_state=0).fit_predict(rows)
    by_size = np.argsort(np.argsort(-np.bincount(numbers, minlength=count), kind="stable"))
    clusters = by_size[numbers]
    table = contingency_matrix(classes[known], clusters[known])
    return Clustering(
        clusters,
        float(table.max(axis=0).sum() / known.sum()),
        float(normalized_mutual_info_score(classes[known], clusters[known])),
    )


def unit_rows(rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Scale (N, d) rows to length 1; rows of zeros are unchanged."""
    array = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(lengths > 0, lengths, 1)
