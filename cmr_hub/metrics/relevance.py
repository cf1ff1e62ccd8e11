"""Relevance by labels, for items with one or several classes.

Labels are (N,) class numbers or names, where numbers below 0 mean no class, or (N, C) rows with a 1
for every class of an item and otherwise 0. Items are relevant to each other if they share a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.errors import QueryError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import BoolArray, IntArray


def is_labelled(labels: npt.NDArray[Any]) -> BoolArray:
    """Return a (N,) mask of the items that have a label."""
    known: BoolArray = np.any(labels, axis=1) if labels.ndim == 2 else labels >= 0
    return known


def shared_labels(queries: npt.NDArray[Any], gallery: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the (Nq, Ng) numbers of classes that each query shares with each gallery item."""
    shared: npt.NDArray[Any]
    if queries.ndim == 2:
        shared = queries.astype(np.float32) @ gallery.T.astype(np.float32)
    else:
        shared = queries[:, None] == gallery
    return shared


def ranked_shared_labels(
    queries: npt.NDArray[Any], gallery: npt.NDArray[Any], order: IntArray
) -> npt.NDArray[Any]:
    """Return the numbers of classes that each query shares with the items of its ranking.

    Args:
        queries, gallery: labels.
        order: (Nq, K) gallery items in the order of each query's ranking.
    """
    shared: npt.NDArray[Any]
    if queries.ndim == 2:
        shared = np.take_along_axis(shared_labels(queries, gallery), order, axis=1)
    else:
        shared = gallery[order] == queries[:, None]
    return shared


def check_labels(name: str, labels: npt.NDArray[np.generic], expected: int) -> None:
    """Raise QueryError unless there are labels for the expected number of items."""
    if labels.ndim not in (1, 2) or len(labels) != expected:
        raise QueryError(
            f"{name}: expected {expected} labels, or {expected} rows of 0 and 1, got shape "
            f"{labels.shape}"
        )
    if labels.ndim == 2 and not ((labels == 0) | (labels == 1)).all():
        raise QueryError(f"{name}: rows of several labels must contain only 0 and 1")


def check_same_classes(queries: npt.NDArray[np.generic], gallery: npt.NDArray[np.generic]) -> None:
    """Raise QueryError unless both sides have labels of the same kind."""
    if queries.shape[1:] != gallery.shape[1:]:
        raise QueryError(
            f"labels of queries and gallery differ in kind: shapes {queries.shape} and "
            f"{gallery.shape}"
        )
