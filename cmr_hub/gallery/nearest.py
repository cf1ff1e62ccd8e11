"""The nearest vectors of a gallery in this process: exact, or by a graph where there are many.

FAISS finds candidates in 32, 16 or 8 bits; they are scored again in float64, each row by itself.
"""

from __future__ import annotations

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
"""Where a filter leaves no more of a graph's vectors than this, they are compared one by one."""
SPARE = 16
"""Rows fetched beyond those asked for, so that near ties can be settled exactly."""
_BATCH = 4
ROUGH_FROM = 5_000
"""From so many vectors on, a single query looks at them in 16 bits first: half the memory to read.
"""
_ROUGH_SPARE = 192
"""Then so many rows more are fetched, since 16 bits leave more near ties."""
_ROUGH_ERROR = 1.01 * 2.0**-8
"""What 16 bits (bfloat16) may change a score by: every number of a vector by at most 2⁻⁸ of it, so
the vector, of length 1 within `NORM_TOLERANCE`, by that length, and a score by no more (Cauchy)."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The vectors that a search may find.

    Attributes:
        size: how many.
        places: for each column the positions within it, None for all of them.
        in_graph: how many of them the graph holds.
        bits: of the graph's vectors one bit each, None where all may be found.
    """

    size: int
    places: tuple[IntArray | None, ...]
    in_graph: int
    bits: npt.NDArray[np.uint8] | None


class NearestVectors:
    """Searches the vectors of one modality.

    Args:
        columns: with the rows of the whole table, which go on increasing from one to the next.
        graph: of the vectors of the first columns, or None.
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
        """The vectors of the rows of the table where the mask is true."""
        masks = [passes[column.rows] for column in self.columns]
        places = tuple(np.flatnonzero(mask) for mask in masks)
        size = sum(map(len, places))
        if size == len(self):
            return self.everything
        held = masks[: self.covered]
        bits = np.packbits(np.concatenate(held), bitorder="little") if held else None
        return Selection(size, places, sum(map(np.count_nonzero, held)), bits)

    def search(
        self, queries: npt.NDArray[np.float64], count: int, among: Selection
    ) -> list[tuple[IntArray, npt.NDArray[np.float64], FloatArray]]:
        """Rows, float64 scores and vectors of the `count` best for (Q, d) unit queries.

        Best first, ties by row number. Without a graph the result is exact: a row that FAISS left
        out scores at most its last candidate and the error of 16 bits, or of float32; if that could
        reach the last row asked for, candidates are fetched in 32 bits, then more of them.
        """
        count = min(count, among.size)
        if not count:
            return [(np.empty(0, np.int64), np.empty(0), np.empty((0, 0), np.float32))] * len(
                queries
            )
        exact = not self._uses_graph(count, among)
        # Beside a graph, which is there for many vectors, a copy of all would take too much memory.
        few = self.graph is None and among is self.everything and len(queries) < _BATCH
        rough = few and len(self) >= ROUGH_FROM
        rounding = (queries.shape[1] + 2) * float(np.finfo(np.float32).eps)
        narrow = queries.astype(np.float32)
        fetch = min(among.size, count + max(SPARE, count // 8))
        wide = min(among.size, fetch + _ROUGH_SPARE) if rough else fetch
        first = self._candidates(narrow, wide, among, exact=exact, rough=rough)
        results = []
        for query, (approximate, places) in zip(queries, first, strict=True):
            error = rounding + _ROUGH_ERROR if rough else rounding
            fetched, last = wide, approximate[-1]
            # `count` of them score no less than that one does, each within the error: what is
            # lower by more than the errors of two is none of the best, and is not fetched.
            found = places[approximate >= approximate[count - 1] - 2 * error] if rough else places
            while True:
                vectors = self._take(found)
                scores = (vectors.astype(np.float64) * query).sum(axis=1)
                order = np.lexsort((found, -scores))[:count]
                if len(order) == count and (
                    not exact or fetched == among.size or scores[order[-1]] > last + error
                ):
                    break
                # Also where a graph found too few: it walked around those that may be found.
                fetched = min(among.size, fetched if error > rounding else 2 * fetched)
                again = query[None].astype(np.float32)
                ((wider, found),) = self._candidates(again, fetched, among, exact=True)
                last, error = wider[-1], rounding
            results.append((self._rows(found[order]), scores[order], vectors[order]))
        return results

    def _uses_graph(self, count: int, among: Selection) -> bool:
        if self.graph is None or among.in_graph <= SCAN_LIMIT:
            return False
        # Where a good part of all is wanted, walking through a graph is no short cut.
        return count * 20 < among.in_graph

    def _candidates(
        self, queries: FloatArray, fetch: int, among: Selection, *, exact: bool, rough: bool = False
    ) -> list[tuple[FloatArray, IntArray]]:
        """Approximate scores and positions of the `fetch` best of each query."""
        first = 0 if exact else self.covered
        if self._is_small(queries, among):
            return self._few_candidates(queries, fetch)
        from cmr_hub.gallery.threads import faiss_threads

        scan = self._scan_roughly if rough else self._scan
        found = []
        # A thread more costs a single query more than it gains.
        with faiss_threads(threads() if len(queries) >= _BATCH else 1):
            parts = [scan(queries, fetch, part, among) for part in range(first, len(among.places))]
            for at, query in enumerate(queries):
                lists = [(scores[at], places[at]) for scores, places in parts]
                if not exact and self.graph is not None:
                    share = among.in_graph / len(self.graph)
                    lists.append(self.graph.search(query, fetch, share, among.bits))
                if len(lists) == 1:  # best first already
                    found += lists
                    continue
                scores, places = (np.concatenate(part) for part in zip(*lists, strict=True))
                best = np.argsort(-scores, kind="stable")[:fetch]
                found.append((scores[best], places[best]))
        return found

    def _is_small(self, queries: FloatArray, among: Selection) -> bool:
        """Whether all is compared before FAISS is imported."""
        few = self.graph is None and among is self.everything and len(queries) < _BATCH
        return few and len(self) < ROUGH_FROM

    def _few_candidates(self, queries: FloatArray, fetch: int) -> list[tuple[FloatArray, IntArray]]:
        """As `_candidates`, of all vectors, without FAISS."""
        scores = np.hstack([queries @ matrix.T for matrix in self._matrices])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :fetch]
        return list(zip(np.take_along_axis(scores, best, axis=1), best, strict=True))

    def _scan(
        self, queries: FloatArray, fetch: int, part: int, among: Selection
    ) -> tuple[FloatArray, IntArray]:
        """Compares with every vector of one column that may be found: (Q, ≤ fetch) each."""
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
        """As `_scan`, of all vectors of one column, in 16 bits."""
        import faiss

        from cmr_hub.gallery.graph import view

        matrix = self._matrices[part]
        index = self._rough.get(part)
        if index is None:
            kind = faiss.ScalarQuantizer.QT_bf16
            index = faiss.IndexScalarQuantizer(matrix.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
            index.add(matrix)
            in_huge_pages(index, view(index.codes))
            self._rough[part] = index  # once it is whole: others may be searching
        scores, found = index.search(queries, min(fetch, len(matrix)))
        return scores, found + self.starts[part]

    def _rows(self, places: IntArray) -> IntArray:
        """Positions among the vectors → rows of the table."""
        return self._gather(places, [column.rows for column in self.columns])

    def _take(self, places: IntArray) -> FloatArray:
        return self._gather(places, self._matrices)

    def _gather(self, places: IntArray, parts: Sequence[npt.NDArray[np.generic]]) -> np.ndarray:
        if len(parts) == 1:
            return np.asarray(parts[0][places])
        owner = np.searchsorted(self.starts, places, side="right") - 1
        gathered = np.empty((len(places), *parts[0].shape[1:]), parts[0].dtype)
        for part in np.unique(owner):
            here = owner == part
            gathered[here] = parts[part][places[here] - self.starts[part]]
        return gathered
