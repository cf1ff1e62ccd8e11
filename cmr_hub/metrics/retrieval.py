"""The figures of retrieval, each as its textbook defines it.

`relevance` is always a (Nq, Ng) boolean matrix over the whole ranked gallery: [i, r] says
whether the item at rank r + 1 answers query i. A query that nothing in the gallery answers has
no figure: functions of single queries give NaN for it, and means leave it out and count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from cmr_hub.errors import QueryError, shown
from cmr_hub.metrics.ranking import ranked_chunks

if TYPE_CHECKING:
    import numpy.typing as npt

    Figures: TypeAlias = npt.NDArray[np.float64]
    Relevance: TypeAlias = npt.NDArray[np.bool_]

Denominator = Literal["relevant", "hits"]


@dataclass(frozen=True)
class MeanAveragePrecision:
    """MAP and all that must be said with it."""

    value: float
    k: int | None
    """How deep the ranking was read; None for all of it."""
    denominator: Denominator
    n_queries: int
    """All queries asked."""
    empty_queries: int
    """Queries that no gallery item answers; they are not in the mean."""


def average_precision(
    relevance: Relevance, k: int | None = None, denominator: Denominator = "relevant"
) -> Figures:
    """Average precision of every query.

        AP@k = (1/Z) Σ_{r ≤ k, item at rank r relevant} (relevant items in the first r) / r

    Z, `denominator`, is min(k, R) for "relevant", with R the relevant items in the gallery: a
    perfect ranking, and only that, scores 1. "hits" takes those found in the first k, as ACMR's
    released code does: one hit alone, at rank 1, scores 1. The two are the same for k=None.

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
    """MAP over all queries; an item answers a query if it has the query's label.

    Args:
        queries: (Nq, d) rows, ranked against the gallery as in `ranking.rank`.
        gallery: (Ng, d) rows.
        query_labels: (Nq,) labels.
        gallery_labels: (Ng,) labels.
        k: depth, None for MAP@all.
        denominator: as in `average_precision`.

    Raises:
        QueryError: lengths differ, values are not finite, or no query has any answer.
    """
    wanted, given = np.asarray(query_labels), np.asarray(gallery_labels)
    check_length("query labels", wanted, len(np.asarray(queries)))
    check_length("gallery labels", given, len(np.asarray(gallery)))
    figures = np.concatenate(
        [
            average_precision(given[order] == wanted[rows, None], k, denominator)
            for rows, order in ranked_chunks(queries, gallery)
        ]
    )
    empty = int(np.count_nonzero(np.isnan(figures)))
    return MeanAveragePrecision(mean(figures), k, denominator, len(figures), empty)


def precision_at_k(relevance: Relevance, k: int) -> Figures:
    """Share of the first k that is relevant: (Nq,) float64, NaN where nothing is relevant.

    k is the divisor also where the gallery is smaller, as in trec_eval.
    """
    _check_relevance(relevance)
    _check_k(k)
    found = np.count_nonzero(relevance[:, :k], axis=1)
    return np.where(relevance.any(axis=1), found / k, np.nan)


def recall_at_k(relevance: Relevance, k: int) -> Figures:
    """1 where at least one relevant item is in the first k, else 0; NaN where none exists.

    This is R@K as papers on captions report it, `relevance` marking a query's own pair. With
    several captions to an image, the first of them to come up counts.
    Source: Hodosh, Young and Hockenmaier, JAIR 47 (2013).
    """
    _check_relevance(relevance)
    _check_k(k)
    return np.where(relevance.any(axis=1), relevance[:, :k].any(axis=1), np.nan)


def own_rank(relevance: Relevance) -> Figures:
    """Rank, from 1, of the first relevant item: (Nq,) float64, NaN where none exists."""
    _check_relevance(relevance)
    return np.where(relevance.any(axis=1), relevance.argmax(axis=1) + 1.0, np.nan)


def interpolated_precision(relevance: Relevance, levels: int = 11) -> Figures:
    """Precision at `levels` recall levels 0, ..., 1, for every query.

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
    # In whole numbers, ⌈ρR⌉ is exact: .7 * 10 as floats may be a little more than 7.
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
    """MAP of the queries of each class, by the class's name; classes without answers are absent."""
    labels = np.asarray(query_labels)
    check_length("query labels", labels, len(average_precisions))
    answered = ~np.isnan(average_precisions)
    names, classes = np.unique(labels[answered], return_inverse=True)
    sums = np.bincount(classes, weights=average_precisions[answered])
    return {
        str(name): float(figure)
        for name, figure in zip(names, sums / np.bincount(classes), strict=True)
    }


def classification_accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of (N,) predicted labels that are right."""
    right = np.asarray(labels)
    check_length("predicted labels", np.asarray(predicted), len(right))
    if len(right) == 0:
        raise QueryError("accuracy of no items is not defined")
    return float(np.mean(np.asarray(predicted) == right))


def mean(figures: Figures) -> float:
    """Mean over the queries that have an answer. Raises QueryError if none has."""
    answered = figures[~np.isnan(figures)]
    if answered.size == 0:
        raise QueryError("no query has an answer in the gallery: do both use the same labels?")
    return float(answered.mean())


def check_length(name: str, values: npt.NDArray[np.generic], expected: int) -> None:
    """Raises QueryError unless `values` is one-dimensional and of this length."""
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
