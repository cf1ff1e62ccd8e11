"""The rows of a gallery at one moment, searched in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.gallery.items import MODALITY, joined_tables, picked
from cmr_hub.gallery.segment import Segment, joined
from cmr_hub.gallery.store import Found
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.graph import Graph
    from cmr_hub.gallery.manifest import GraphRecord
    from cmr_hub.gallery.nearest import NearestVectors, Selection
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import IntArray, Modality

_NO_ROWS = np.empty(0, np.int64)
_FILTERS = 64


@dataclass(frozen=True, eq=False)
class GraphPart:
    """A graph of all vectors of the first so many segments, loaded when it is first used."""

    segments: int
    load: Callable[[], Graph]
    record: GraphRecord | None = None
    """Of its file, where it has one: then each `load` reads it anew."""

    def load_own(self) -> Graph:
        """One to add to: nobody else searches it, and it may stay half done."""
        graph = self.load()
        return graph if self.record is not None else graph.copy()


class Rows:
    """Segments one after the other, of which some rows were removed. Never changed.

    Args:
        segments: in order; a row's number counts through all of them.
        removed: increasing numbers of rows that are there no more.
        graphs: by modality.
    """

    def __init__(
        self,
        segments: Sequence[Segment] = (),
        removed: IntArray = _NO_ROWS,
        graphs: Mapping[Modality, GraphPart] | None = None,
    ) -> None:
        self.segments = tuple(segments)
        self.removed = removed
        self.graphs = dict(graphs or {})
        self.starts = np.cumsum([0, *map(len, self.segments)])
        # A filter that is asked for again is not computed again.
        self._selection = lru_cache(_FILTERS)(self._select)
        self._nearest: dict[Modality, NearestVectors] = {}
        self._making_nearest = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.segments, self.removed, self.graphs)

    def __len__(self) -> int:
        return int(self.starts[-1]) - len(self.removed)

    @cached_property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Which rows were not removed."""
        mask = np.ones(self.starts[-1], dtype=bool)
        mask[self.removed] = False
        return mask

    @cached_property
    def table(self) -> pa.Table:
        """The items of all rows, also of those removed."""
        return joined_tables([segment.items for segment in self.segments])

    @property
    def items(self) -> pa.Table:
        """The items that were not removed."""
        return self.table.filter(pa.array(self.alive)) if len(self.removed) else self.table

    @property
    def dim(self) -> int | None:
        """d, the length of the vectors; None while there is none."""
        for segment in self.segments:
            for column in segment.vectors.values():
                return int(column.matrix.shape[1])
        return None

    @cached_property
    def vector_counts(self) -> dict[Modality, int]:
        """Vectors by modality, without those of removed rows."""
        counts: dict[Modality, int] = {}
        for name in ("image", "text"):
            counts[name] = sum(
                int(np.count_nonzero(self.alive[column.rows])) for column in self.columns(name)
            )
        return {name: count for name, count in counts.items() if count}

    def columns(self, target: Modality) -> list[VectorColumn]:
        """The vectors of one modality, with row numbers, segment by segment."""
        return [
            segment.vectors[target].moved(int(start))
            for segment, start in zip(self.segments, self.starts, strict=False)
            if target in segment.vectors
        ]

    def in_graph(self, target: Modality) -> int:
        """How many vectors a graph holds."""
        covered = self.graphs[target].segments if target in self.graphs else 0
        own = (segment.vectors.get(target, ()) for segment in self.segments[:covered])
        return sum(map(len, own))

    def numbers(self, ids: Sequence[str]) -> IntArray:
        """The row numbers of these ids, increasing; unknown ones are left out."""
        if not self.segments or not ids:
            return _NO_ROWS
        there = pc.is_in(self.table.column("id"), value_set=pa.array(ids, pa.string()))
        found: IntArray = np.flatnonzero(there.to_numpy() & self.alive)
        return found

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""
        numbers = self.numbers(ids)
        if not len(numbers):
            return set()
        return set(self.table.column("id").take(pa.array(numbers)).to_pylist())

    def take(self, numbers: IntArray) -> Segment:
        """These rows, which must be increasing, as one segment."""
        parts = []
        for segment, start, end in zip(self.segments, self.starts, self.starts[1:], strict=False):
            own = numbers[(numbers >= start) & (numbers < end)] - start
            if len(own):
                parts.append(segment.take(own))
        return joined(parts)

    def filtered(self, where: Where) -> npt.NDArray[np.bool_]:
        """Which rows are there and pass a condition on their columns or on `modality`."""
        mask: npt.NDArray[np.bool_] = self.alive.copy()
        if len(mask):
            mask &= where.mask(self.table.append_column(MODALITY, self._modalities()))
        return mask

    def merged(self, first: int) -> Rows:
        """The same, with the segments from `first` on made one and their removed rows gone.

        Graphs must be of earlier segments; those of later ones are dropped.
        """
        start = int(self.starts[first])
        kept = [
            part
            for segment, begin, end in zip(
                self.segments[first:], self.starts[first:], self.starts[first + 1 :], strict=False
            )
            if len(part := segment.take(np.flatnonzero(self.alive[begin:end])))
        ]
        segments = [*self.segments[:first], *([joined(kept)] if kept else [])]
        graphs = {} if first == 0 else self.graphs
        return Rows(segments, self.removed[self.removed < start], graphs)

    def nearest(self, target: Modality) -> NearestVectors:
        """The index of one modality, made when it is first asked for."""
        # Once: a second thread would load the graph again, and selections are of one index.
        with self._making_nearest:
            if target not in self._nearest:
                from cmr_hub.gallery.nearest import NearestVectors

                self._nearest[target] = NearestVectors(
                    self.columns(target),
                    self.graphs[target].load() if target in self.graphs else None,
                )
            return self._nearest[target]

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | None = None,
    ) -> list[Found]:
        """See `store.Store.search`."""
        with self._reading() if where is None else nullcontext():
            among = self._selection(target, where)
            found = self.nearest(target).search(queries, count, among)
        return [
            Found(picked(self.table, rows).to_pylist(), scores, vectors)
            for rows, scores, vectors in found
        ]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Reads the items, the first time beside what is done meanwhile, which must not need them.

        Those of a million take a second, and so does a graph.
        """
        if "table" in vars(self):
            yield
            return
        with ThreadPoolExecutor(1) as pool:
            items = pool.submit(lambda: self.table)
            yield
            items.result()

    def _select(self, target: Modality, where: Where | None) -> Selection:
        nearest = self.nearest(target)
        if where is None:
            return nearest.select(self.alive) if len(self.removed) else nearest.everything
        return nearest.select(self.filtered(where))

    def _modalities(self) -> pa.Array:
        shown, told = (np.zeros(self.starts[-1], dtype=bool) for _ in range(2))
        for column in self.columns("image"):
            shown[column.rows] = True
        for column in self.columns("text"):
            told[column.rows] = True
        names = np.where(shown, np.where(told, "pair", "image"), "text")
        return pa.array(names)
