"""MAP of images asked against images by the distance of their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from cmr_hub.errors import QueryError
from cmr_hub.metrics.retrieval import MeanAveragePrecision, average_precision, check_length, mean

if TYPE_CHECKING:
    import numpy.typing as npt


def content_based_map(features: npt.ArrayLike, labels: npt.ArrayLike) -> MeanAveragePrecision:
    """MAP@all of images asked against images by Euclidean distance between their features.

    Every image asks all others, itself left out; those of its class answer it. Equal distances
    are ordered by one fixed shuffle, as in `ranking.rank`.

    Args:
        features: (N, in_dim), finite, N ≥ 2.
        labels: (N,).

    Raises:
        QueryError: shapes do not fit, values are not finite, or no two items share a label.
    """
    rows, classes = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if rows.ndim != 2 or len(rows) < 2:
        raise QueryError(f"features must be (two rows or more, dimensions), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise QueryError("the features have values that are not finite")
    check_length("labels", classes, len(rows))
    # RandomState's stream is frozen for ever; that of numpy's Generator may change.
    shuffle = np.random.RandomState(0).permutation(len(rows))
    rows, classes = rows[shuffle], classes[shuffle]
    distances = cdist(rows, rows)
    np.fill_diagonal(distances, np.inf)  # the last of its own ranking, which is then cut off
    order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
    figures = average_precision(classes[order] == classes[:, None])
    empty = int(np.count_nonzero(np.isnan(figures)))
    return MeanAveragePrecision(mean(figures), None, "relevant", len(rows), empty)
