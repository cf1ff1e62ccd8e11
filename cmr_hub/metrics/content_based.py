"""MAP of image-to-image search by the distance of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from cmr_hub.errors import QueryError
from cmr_hub.metrics.relevance import check_labels, ranked_shared_labels
from cmr_hub.metrics.retrieval import MeanAveragePrecision, average_precision, mean

if TYPE_CHECKING:
    import numpy.typing as npt


def content_based_map(features: npt.ArrayLike, labels: npt.ArrayLike) -> MeanAveragePrecision:
    """Compute MAP@all of image-to-image search by Euclidean distance between features.

    Every image is a query for all other images, and those that share a label with it are relevant.
    Ties are broken by a fixed shuffle, as in `ranking.rank`.

    Args:
        features: (N, in_dim) finite features, N ≥ 2.
        labels: (N,) labels, or (N, C) rows of 0 and 1.

    Raises:
        QueryError: shapes do not match, values are not finite, or no two items share a label.
    """
    rows, classes = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if rows.ndim != 2 or len(rows) < 2:
        raise QueryError(f"features must be (two rows or more, dimensions), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise QueryError("the features have values that are not finite")
    check_labels("labels", classes, len(rows))
    # The stream of RandomState is frozen; that of numpy's Generator may change.
    shuffle = np.random.RandomState(0).permutation(len(rows))
    rows, classes = rows[shuffle], classes[shuffle]
    distances = cdist(rows, rows)
    np.fill_diagonal(distances, np.inf)  # ranks each query last in its own ranking, to cut it off
    order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
    relevant = ranked_shared_labels(classes, classes, order) > 0
    figures = average_precision(relevant)
    empty = int(np.count_nonzero(np.isnan(figures)))
    return MeanAveragePrecision(mean(figures), None, "relevant", len(rows), empty)
