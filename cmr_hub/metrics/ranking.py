"""Rank a gallery for every query by cosine similarity, with ties broken without bias."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.cores import threads
from cmr_hub.errors import QueryError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import IntArray

SCORES_AT_ONCE = 2**22
"""Maximum number of scores in memory at a time (32 MB of float64)."""
_SORTED_AT_ONCE = 2**16
"""Maximum number of scores that a thread sorts at a time, so that they stay in the cache."""


def rank(queries: npt.ArrayLike, gallery: npt.ArrayLike) -> IntArray:
    """Rank the gallery rows for every query, most similar first.

    The score is cosine similarity in float64; a zero row has score 0 with everything.

    Ties are broken by a fixed shuffle of the gallery, the same for all queries and calls. Breaking
    them by gallery index would be biased: galleries are often sorted by class, so a model that maps
    everything to one point would get a MAP of twice the chance level (with 20 classes of 10).
    Breaking them for or against the query would reward or punish ties. A shuffle independent of
    labels gives such a model chance level and keeps every score reproducible. Identical gallery
    rows are tied exactly, because their score is computed once.

    Args:
        queries: (Nq, d) finite vectors of any length.
        gallery: (Ng, d) finite vectors of any length.

    Returns:
        (Nq, Ng) int64; row i is a permutation of the gallery's row numbers.

    Raises:
        QueryError: an array is empty, not two-dimensional or not finite, or their widths differ.
    """
    return np.concatenate([order for _, order in ranked_chunks(queries, gallery)])


def ranked_chunks(
    queries: npt.ArrayLike, gallery: npt.ArrayLike
) -> Iterator[tuple[slice, IntArray]]:
    """Yield the rows of `rank` in chunks, as (slice of the queries, their rankings)."""
    query_rows = _unit_rows("queries", queries)
    gallery_rows = _unit_rows("gallery", gallery)
    if query_rows.shape[1] != gallery_rows.shape[1]:
        raise QueryError(
            f"queries have {query_rows.shape[1]} dimensions, the gallery has "
            f"{gallery_rows.shape[1]}: both must come from the same model"
        )
    count = len(gallery_rows)
    # The stream of RandomState is frozen; that of numpy's Generator may change.
    shuffle = np.random.RandomState(0).permutation(count)
    negative, copies = _distinct(-gallery_rows[shuffle])
    step = max(1, SCORES_AT_ONCE // count)
    block = max(1, _SORTED_AT_ONCE // count)
    with ThreadPoolExecutor(threads()) as pool:
        for start in range(0, len(query_rows), step):
            rows = slice(start, min(start + step, len(query_rows)))
            scores = query_rows[rows] @ negative.T
            parts = [scores[first : first + block] for first in range(0, len(scores), block)]
            orders = pool.map(lambda part: shuffle[_argsort_stable(part[:, copies])], parts)
            yield rows, np.concatenate(list(orders))


def _unit_rows(name: str, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(rows, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise QueryError(f"{name} must be (rows, dimensions) with at least one row: {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise QueryError(
            f"{name}: {np.count_nonzero(~finite)} of {len(array)} rows are not finite, "
            f"the first is row {np.argmin(finite)}; did training diverge?"
        )
    # Scaling first avoids overflow and underflow of the squares.
    largest = np.abs(array).max(axis=1, keepdims=True)
    array = array / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(lengths > 0, lengths, 1)


def _distinct(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Return the distinct rows, and for every row its index among them.

    Equal dot products may differ in the last bit, depending on their place in a matrix product.
    """
    rows = np.ascontiguousarray(rows)
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, copies = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], copies


def _argsort_stable(values: npt.NDArray[np.float64]) -> IntArray:
    """Sort every row stably, as fast as an unstable argsort if there are no ties."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    order[tied] = np.argsort(values[tied], axis=1, kind="stable")
    return order
