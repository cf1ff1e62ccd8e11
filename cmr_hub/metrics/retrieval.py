"""Retrieval metrics by their textbook definitions.

`relevance` is always a (Nq, Ng) boolean matrix over the full ranking: [i, r] is true if the item at
rank r + 1 is relevant to query i. Metrics are undefined for queries without relevant items:
functions of single queries return NaN, and means exclude and count these queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from cmr_hub.errors import QueryError, shown
from cmr_hub.metrics.ranking import ranked_chunks
from cmr_hub.metrics.relevance import check_labels, check_same_classes, ranked_shared_labels

if TYPE_CHECKING:
    import numpy.typing as npt

    Figures: TypeAlias = npt.NDArray[np.float64]
    Relevance: TypeAlias = npt.NDArray[np.bool_]

Denominator = Literal["relevant", "hits"]


@dataclass(frozen=True)
class MeanAveragePrecision:
    """MAP with the definition used and the number of queries."""

    value: float
    k: int | None
    """Depth of the ranking; None for the full ranking."""
    denominator: Denominator
    n_queries: int
    """Number of all queries."""
    empty_queries: int
    """Number of queries without relevant items, which are excluded from the mean."""


def average_precision(
    relevance: Relevance, k: int | None = None, denominator: Denominator = "relevant"
) -> Figures:
    """Compute the average precision of every query.

        AP@k = (1/Z) Σ_{r ≤ k, item at rank r relevant} (relevant items in the first r) / r

    With denominator="relevant", Z is min(k, R), where R is the number of relevant items in the
    gallery: only a perfect ranking has AP 1. With "hits", Z is the number of relevant items in the
    first k, as in ACMR's released code: a single hit at rank 1 has AP 1. Both are equal for k=None.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), 8.4.

    Returns:
        (Nq,) float64 in [0, 1]; NaN for a query without relevant items.
    """
    _check_relevance(relevance)
    if denominator not in get_args(Denominator):
        raise QueryError(f"denominator is 'relevant' or 'hits', not {shown(denominator)}")
    n_queries, depth = relevance.shape
    if k is not None:
        _check_k(k)
        depth = min(k, depth)
    relevant = np.count_nonzero(relevance, axis=1)
    rows, columns = np.nonzero(relevance[:, :depth])  # row by row, so in order of rank
    hits = np.bincount(rows, minlength=n_queries)
    first_of_row = np.cumsum(hits) - hits
    nth_hit = np.arange(1, rows.size + 1) - first_of_row[rows]
    total = np.bincount(rows, weights=nth_hit / (columns + 1), minlength=n_queries)
    divisor = np.maximum(hits, 1) if denominator == "hits" else np.clip(relevant, 1, k)
    return np.where(relevant > 0, total / divisor, np.nan)


def mean_average_precision(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    *,
    k: int | None = None,
    denominator: Denominator = "relevant",
) -> MeanAveragePrecision:
    """Compute MAP over all queries, where items that share a label with the query are relevant.

    Args:
        queries: (Nq, d) vectors; the gallery is ranked by `ranking.rank`.
        gallery: (Ng, d) vectors.
        query_labels: (Nq,) labels, or (Nq, C) rows of 0 and 1 for several labels per item.
        gallery_labels: (Ng,) or (Ng, C).
        k: depth; None for MAP@all.
        denominator: see `average_precision`.

    Raises:
        QueryError: lengths differ, values are not finite, or no query has relevant items.
    """
    of_queries, of_gallery = np.asarray(query_labels), np.asarray(gallery_labels)
    check_labels("query labels", of_queries, len(np.asarray(queries)))
    check_labels("gallery labels", of_gallery, len(np.asarray(gallery)))
    check_same_classes(of_queries, of_gallery)
    chunks = []
    for rows, order in ranked_chunks(queries, gallery):
        relevance = ranked_shared_labels(of_queries[rows], of_gallery, order) > 0
        chunks.append(average_precision(relevance, k, denominator))
    figures = np.concatenate(chunks)
    empty = int(np.count_nonzero(np.isnan(figures)))
    return MeanAveragePrecision(mean(figures), k, denominator, len(figures), empty)


def ndcg_at_k(gains: npt.NDArray[np.generic], k: int) -> Figures:
    """Compute the normalised discounted cumulative gain of every query.

        nDCG@k = DCG / (DCG of the best ranking),  DCG = Σ_{r ≤ k} gain at rank r / log₂(r + 1)

    Source: Järvelin and Kekäläinen, ACM TOIS 20 (2002), with the discount that trec_eval and
    scikit-learn use.

    Args:
        gains: (Nq, Ng) gains, 0 or more, over the full ranking; here the number of labels that an
            item shares with the query.
        k: depth.

    Returns:
        (Nq,) float64 in [0, 1]; NaN for a query without any gain.
    """
    _check_k(k)
    if gains.ndim != 2 or 0 in gains.shape:
        raise QueryError(f"gains must be (queries, gallery), not of shape {gains.shape}")
    values = gains.astype(np.float64)
    discounts = 1 / np.log2(np.arange(2, min(k, values.shape[1]) + 2))
    best = -np.sort(-values, axis=1)[:, :k] @ discounts
    return np.where(best > 0, values[:, :k] @ discounts / np.where(best > 0, best, 1), np.nan)


def precision_at_k(relevance: Relevance, k: int) -> Figures:
    """Return the share of relevant items in the first k; NaN without relevant items.

    The divisor is k even if the gallery is smaller, as in trec_eval.

    Returns:
        (Nq,) float64.
    """
    _check_relevance(relevance)
    _check_k(k)
    found = np.count_nonzero(relevance[:, :k], axis=1)
    return np.where(relevance.any(axis=1), found / k, np.nan)


def recall_at_k(relevance: Relevance, k: int) -> Figures:
    """Return 1 if a relevant item is in the first k, else 0; NaN without relevant items.

    This is R@K as reported for captions, with the paired items as relevant ones. If an image has
    several captions, the first one found counts.
    Source: Hodosh, Young and Hockenmaier, JAIR 47 (2013).
    """
    _check_relevance(relevance)
    _check_k(k)
    return np.where(relevance.any(axis=1), relevance[:, :k].any(axis=1), np.nan)


def own_rank(relevance: Relevance) -> Figures:
    """Return the (Nq,) ranks, from 1, of the first relevant items; NaN without one."""
    _check_relevance(relevance)
    return np.where(relevance.any(axis=1), relevance.argmax(axis=1) + 1.0, np.nan)


def interpolated_precision(relevance: Relevance, levels: int = 11) -> Figures:
    """Compute the interpolated precision at `levels` recall levels 0, ..., 1, for every query.

        p(ρ) = max { precision at rank r : recall at rank r ≥ ρ }

    Its mean over queries is the precision-recall curve.
    Source: Manning, Raghavan and Schütze (2008), 8.4.

    Returns:
        (Nq, levels) float64; a row of NaN for a query without relevant items.
    """
    _check_relevance(relevance)
    if levels < 2:
        raise QueryError(f"a precision-recall curve needs 2 or more levels, not {levels}")
    hits = np.cumsum(relevance, axis=1, dtype=np.int32)
    relevant = hits[:, -1]
    precision = hits / np.arange(1, relevance.shape[1] + 1)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # In integers, ⌈ρR⌉ is exact: .7 * 10 as floats may be slightly more than 7.
    steps = np.arange(levels)
    needed = np.maximum(-(-steps * relevant[:, None].astype(np.int64) // (levels - 1)), 1)
    _, columns = np.nonzero(relevance)
    first_of_row = np.cumsum(relevant) - relevant
    answered = relevant > 0
    result = np.full((len(relevance), levels), np.nan)
    reached = columns[first_of_row[answered, None] + needed[answered] - 1]
    result[answered] = np.take_along_axis(best_from_here[answered], reached, axis=1)
    return result


def per_class_map(average_precisions: Figures, query_labels: npt.ArrayLike) -> dict[str, float]:
    """Return MAP by class name, without classes whose queries have no relevant items.

    A query with several labels, a row of 0 and 1, counts for each of its classes.
    """
    labels = np.asarray(query_labels)
    check_labels("query labels", labels, len(average_precisions))
    answered = ~np.isnan(average_precisions)
    if labels.ndim == 2:
        return {
            str(column): float(average_precisions[answered & of_class].mean())
            for column, of_class in enumerate(labels.astype(bool).T)
            if (answered & of_class).any()
        }
    names, classes = np.unique(labels[answered], return_inverse=True)
    sums = np.bincount(classes, weights=average_precisions[answered])
    return {
        str(name): float(figure)
        for name, figure in zip(names, sums / np.bincount(classes), strict=True)
    }


def classification_accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the share of (N,) predicted labels that are correct, or one of an item's labels."""
    right = np.asarray(labels)
    check_length("predicted labels", np.asarray(predicted), len(right))
    if len(right) == 0:
        raise QueryError("accuracy of no items is not defined")
    if right.ndim == 2:
        return float(right[np.arange(len(right)), np.asarray(predicted)].astype(bool).mean())
    return float(np.mean(np.asarray(predicted) == right))


def mean(figures: Figures) -> float:
    """Return the mean over queries with relevant items. Raises QueryError if there are none."""
    answered = figures[~np.isnan(figures)]
    if answered.size == 0:
        raise QueryError("no query has an answer in the gallery: do both use the same labels?")
    return float(answered.mean())


def bootstrap_interval(figures: Figures, draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over queries, by resampling queries.

    The interval estimates how much the mean would vary with other queries of the same kind, for a
    fixed model and gallery. The draws are the same in every call.

    Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979).
    """
    answered = figures[~np.isnan(figures)]
    # The stream of RandomState is frozen; that of numpy's Generator may change.
    random, count = np.random.RandomState(0), len(answered)
    means = [answered[random.randint(count, size=count)].mean() for _ in range(draws)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def check_length(name: str, values: npt.NDArray[np.generic], expected: int) -> None:
    """Raise QueryError unless `values` is one-dimensional and has the expected length."""
    if values.shape != (expected,):
        raise QueryError(f"{name}: expected {expected} in one dimension, got shape {values.shape}")


def _check_relevance(relevance: Relevance) -> None:
    if relevance.ndim != 2 or 0 in relevance.shape or relevance.dtype != np.bool_:
        raise QueryError(
            f"relevance must be a boolean matrix (queries, gallery) with at least one of each, "
            f"not {relevance.dtype} of shape {relevance.shape}"
        )


def _check_k(k: int) -> None:
    if k < 1:
        raise QueryError(f"k must be 1 or more, not {k}")
