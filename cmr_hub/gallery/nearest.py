"""Nearest-neighbour search in memory, exact or with a graph.

FAISS finds candidates in 32, 16 or 8 bits, which are scored again in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.cores import threads
from cmr_hub.gallery.huge_pages import in_huge_pages
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    import faiss
    import numpy.typing as npt

    from cmr_hub.gallery.graph import Graph
    from cmr_hub.types import FloatArray, IntArray

SCAN_LIMIT = 25_000
"""Maximum number of selected vectors of a graph that are compared one by one."""
SPARE = 16
"""Number of extra candidates, to resolve near ties exactly."""
_BATCH = 4
ROUGH_FROM = 5_000
"""Minimum number of vectors for a first pass in 16 bits, which halves the memory traffic."""
_ROUGH_ERROR = 1.01 * 2.0**-11
"""Maximum error of a score in half precision. Rounding changes each component by at most a factor
of 2⁻¹¹. So the vector, of length 1 within `NORM_TOLERANCE`, moves by at most 2⁻¹¹ of its length,
and the score changes by at most as much (Cauchy-Schwarz)."""
_TINY_ERROR = 2.0**-25
"""Maximum error of components below 2⁻¹⁴, which are evenly spaced in half precision."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The vectors that a search may return.

    Attributes:
        size: number of selected vectors.
        places: selected positions in each column; None selects the entire column.
        in_graph: number of selected vectors in the graph.
        bits: one bit per vector of the graph; None if all are selected.
    """

    size: int
    places: tuple[IntArray | None, ...]
    in_graph: int
    bits: npt.NDArray[np.uint8] | None


class NearestVectors:
    """An index of the vectors of one modality.

    Args:
        columns: vectors with their row numbers, which increase through all columns.
        graph: optional graph of the vectors of the first columns.
    """

    def __init__(self, columns: Sequence[VectorColumn], graph: Graph | None = None) -> None:
        self.columns = [column for column in columns if len(column)]
        self.graph = graph
        self.starts = np.cumsum([0, *(len(column) for column in self.columns)])
        self.covered = 0 if graph is None else int(np.searchsorted(self.starts, len(graph)))
        self.everything = Selection(
            len(self), (None,) * len(self.columns), 0 if graph is None else len(graph), None
        )
        self._matrices = [column.matrix for column in self.columns]
        self._rough: dict[int, faiss.IndexScalarQuantizer] = {}
        if graph is not None:
            graph.settle()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def select(self, passes: npt.NDArray[np.bool_]) -> Selection:
        """Select the vectors of the rows for which the mask is true."""
        masks = [passes[column.rows] for column in self.columns]
        places = tuple(np.flatnonzero(mask) for mask in masks)
        size = sum(map(len, places))
        if size == len(self):
            return self.everything
        in_graph = masks[: self.covered]
        bits = np.packbits(np.concatenate(in_graph), bitorder="little") if in_graph else None
        return Selection(size, places, sum(map(np.count_nonzero, in_graph)), bits)

    def search(
        self, queries: npt.NDArray[np.float64], count: int, among: Selection
    ) -> list[tuple[IntArray, npt.NDArray[np.float64], FloatArray]]:
        """Return rows, float64 scores and vectors of the `count` best for (Q, d) unit queries.

        Results are sorted by score, then by row number. Without a graph they are exact: the score
            of
        a row that FAISS omits is at most the score of the last candidate plus the rounding error.
        If this bound reaches the last result, candidates are fetched in 32 bits, and then more of
        them.
        """
        count = min(count, among.size)
        if not count:
            return [
                (np.empty(0, np.int64), np.empty(0), np.empty((0, queries.shape[1]), np.float32))
            ] * len(queries)
        exact = not self._uses_graph(count, among)
        # With a graph, there are too many vectors for a 16-bit copy in memory.
        few = self.graph is None and among is self.everything and len(queries) < _BATCH
        rough = few and len(self) >= ROUGH_FROM
        rounding = (queries.shape[1] + 2) * float(np.finfo(np.float32).eps)
        narrow = queries.astype(np.float32)
        fetch = min(among.size, count + max(SPARE, count // 8))
        first = self._candidates(narrow, fetch, among, exact=exact, rough=rough)
        results = []
        for query, (approximate, places) in zip(queries, first, strict=True):
            error, fetched, last = rounding, fetch, approximate[-1]
            if rough:
                error += _ROUGH_ERROR + _TINY_ERROR * math.sqrt(queries.shape[1])
            # `count` rows score at least as high as candidate `count`, up to the error. So a row
            # below it by more than twice the error is not among the best.
            found = places[approximate >= approximate[count - 1] - 2 * error] if exact else places
            while True:
                vectors = self._gather(found, self._matrices)
                scores = (vectors.astype(np.float64) * query).sum(axis=1)
                order = np.lexsort((found, -scores))[:count]
                if len(order) == count and (
                    not exact or fetched == among.size or scores[order[-1]] > last + error
                ):
                    break
                # A graph can also return too few candidates, if a filter selects few vectors.
                fetched = min(among.size, fetched if error > rounding else 2 * fetched)
                again = query[None].astype(np.float32)
                ((wider, found),) = self._candidates(again, fetched, among, exact=True)
                last, error = wider[-1], rounding
            rows = self._gather(found[order], [column.rows for column in self.columns])
            results.append((rows, scores[order], vectors[order]))
        return results

    def _uses_graph(self, count: int, among: Selection) -> bool:
        if self.graph is None or among.in_graph <= SCAN_LIMIT:
            return False
        # A graph is slower if a large part of the vectors is requested.
        return count * 20 < among.in_graph

    def _candidates(
        self, queries: FloatArray, fetch: int, among: Selection, *, exact: bool, rough: bool = False
    ) -> list[tuple[FloatArray, IntArray]]:
        """Return approximate scores and positions of the `fetch` best for each query."""
        first = 0 if exact else self.covered
        few = self.graph is None and among is self.everything and len(queries) < _BATCH
        if few and len(self) < ROUGH_FROM:  # NumPy is fast enough, so FAISS is not imported
            scores = np.hstack([queries @ matrix.T for matrix in self._matrices])
            best = np.argsort(-scores, axis=1, kind="stable")[:, :fetch]
            return list(zip(np.take_along_axis(scores, best, axis=1), best, strict=True))
        from cmr_hub.gallery.graph import faiss_threads

        scan = self._scan_roughly if rough else self._scan
        found = []
        # For a few queries, one thread is faster.
        with faiss_threads(threads() if len(queries) >= _BATCH else 1):
            parts = [scan(queries, fetch, part, among) for part in range(first, len(among.places))]
            for at, query in enumerate(queries):
                lists = [(scores[at], places[at]) for scores, places in parts]
                if not exact and self.graph is not None:
                    share = among.in_graph / len(self.graph)
                    lists.append(self.graph.search(query, fetch, share, among.bits))
                if len(lists) == 1:  # already sorted
                    found += lists
                    continue
                scores, places = (np.concatenate(part) for part in zip(*lists, strict=True))
                best = np.argsort(-scores, kind="stable")[:fetch]
                found.append((scores[best], places[best]))
        return found

    def _scan(
        self, queries: FloatArray, fetch: int, part: int, among: Selection
    ) -> tuple[FloatArray, IntArray]:
        """Compare queries with the selected vectors of one column; return (Q, ≤ fetch) arrays."""
        import faiss

        matrix, places = self._matrices[part], among.places[part]
        size = len(matrix) if places is None else len(places)
        count = min(fetch, size)
        if not count:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if places is None:
            scores, found = faiss.knn(queries, matrix, count, metric=faiss.METRIC_INNER_PRODUCT)
        else:
            scores = np.empty((len(queries), count), np.float32)
            found = np.empty((len(queries), count), np.int64)
            arrays = [faiss.swig_ptr(array) for array in (queries, matrix, places)]
            sizes = (queries.shape[1], len(queries), len(matrix), size, count)
            results = [faiss.swig_ptr(array) for array in (scores, found)]
            faiss.knn_inner_products_by_idx(*arrays, *sizes, *results, 0)
        return scores, found + self.starts[part]

    def _scan_roughly(
        self, queries: FloatArray, fetch: int, part: int, among: Selection
    ) -> tuple[FloatArray, IntArray]:
        """Compare queries with all vectors of one column in 16 bits."""
        import faiss

        from cmr_hub.gallery.graph import view

        matrix = self._matrices[part]
        index = self._rough.get(part)
        if index is None:
            kind = faiss.ScalarQuantizer.QT_fp16
            index = faiss.IndexScalarQuantizer(matrix.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
            index.add(matrix)
            in_huge_pages(index, view(index.codes))
            self._rough[part] = (
                index  # after it is complete, because other threads may be searching
            )
        scores, found = index.search(queries, min(fetch, len(matrix)))
        return scores, found + self.starts[part]

    def _gather(self, places: IntArray, parts: Sequence[npt.NDArray[np.generic]]) -> np.ndarray:
        """Return the values at these positions among the vectors, from one array per column."""
        if len(parts) == 1:
            return np.asarray(parts[0][places])
        owner = np.searchsorted(self.starts, places, side="right") - 1
        gathered = np.empty((len(places), *parts[0].shape[1:]), parts[0].dtype)
        for part in np.unique(owner):
            here = owner == part
            gathered[here] = parts[part][places[here] - self.starts[part]]
        return gathered
