"""An immutable snapshot of the rows of a gallery, which is searched in this process."""

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

from cmr_hub.gallery.items import COPY_OF, MODALITY, TEXT, VIDEO, joined_tables, picture_ids
from cmr_hub.gallery.segment import Segment, joined
from cmr_hub.gallery.store import Found
from cmr_hub.gallery.text_in_pictures import covered
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.graph import Graph
    from cmr_hub.gallery.manifest import GraphRecord
    from cmr_hub.gallery.nearest import NearestVectors, Selection
    from cmr_hub.gallery.text_in_pictures import TextCondition
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import IntArray, Modality

_NO_ROWS = np.empty(0, np.int64)
_FILTERS = 64


@dataclass(frozen=True, eq=False)
class GraphPart:
    """A graph of all vectors of the first `segments` segments, loaded on first use."""

    segments: int
    load: Callable[[], Graph]
    record: GraphRecord | None = None
    """Manifest record of the file, if the graph is stored; `load` then reads it each time."""

    def load_own(self) -> Graph:
        """Return a private copy, to which vectors can be added."""
        graph = self.load()
        return graph if self.record is not None else graph.copy()


class Rows:
    """Immutable sequence of segments, with some rows removed.

    Args:
        segments: the segments. Rows are numbered consecutively across segments.
        removed: numbers of removed rows, increasing.
        graphs: graphs by modality.
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
        self._selection = lru_cache(_FILTERS)(self._select)
        self._covered = lru_cache(_FILTERS)(
            lambda words: covered(self.table.column(TEXT), words, self.alive)
        )
        self._nearest: dict[Modality, NearestVectors] = {}
        self._making_nearest = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.segments, self.removed, self.graphs)

    def __len__(self) -> int:
        return int(self.starts[-1]) - len(self.removed)

    @cached_property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows that were not removed."""
        mask = np.ones(self.starts[-1], dtype=bool)
        mask[self.removed] = False
        return mask

    @cached_property
    def table(self) -> pa.Table:
        """Items of all rows, including removed rows."""
        return joined_tables([segment.items for segment in self.segments])

    @property
    def items(self) -> pa.Table:
        """Items of the rows that were not removed."""
        return self.table.filter(pa.array(self.alive)) if len(self.removed) else self.table

    @property
    def dim(self) -> int | None:
        """Dimension of the vectors; None if there are none."""
        for segment in self.segments:
            for column in segment.vectors.values():
                return int(column.matrix.shape[1])
        return None

    @cached_property
    def vector_counts(self) -> dict[Modality, int]:
        """Number of vectors by modality, without removed rows."""
        counts: dict[Modality, int] = {}
        for name in ("image", "text"):
            counts[name] = sum(
                int(np.count_nonzero(self.alive[column.rows])) for column in self.columns(name)
            )
        return {name: count for name, count in counts.items() if count}

    @cached_property
    def copies(self) -> dict[str, int]:
        """Number of rows per picture or video, if more than one; see `items.picture_ids`."""
        if not {COPY_OF, VIDEO} & set(self.table.column_names):
            return {}
        counts = pc.value_counts(picture_ids(self.items))
        # Not to_numpy or pc.greater, which import pandas.
        values, numbers = counts.field("values"), np.from_dlpack(counts.field("counts"))
        return {values[at].as_py(): int(numbers[at]) for at in np.flatnonzero(numbers > 1)}

    @cached_property
    def has_text(self) -> bool:
        """Whether there is a column of text recognised in the pictures."""
        return any(TEXT in segment.column_names for segment in self.segments)

    def columns(self, target: Modality) -> list[VectorColumn]:
        """Return the vectors of one modality with row numbers, one column per segment."""
        return [
            segment.vectors[target].moved(int(start))
            for segment, start in zip(self.segments, self.starts, strict=False)
            if target in segment.vectors
        ]

    def in_graph(self, target: Modality) -> int:
        """Return the number of vectors in the graph of a modality."""
        covered = self.graphs[target].segments if target in self.graphs else 0
        return sum(len(segment.vectors.get(target, ())) for segment in self.segments[:covered])

    def numbers(self, ids: Sequence[str]) -> IntArray:
        """Return the row numbers of ids in increasing order; unknown ids are ignored."""
        if not self.segments or not ids:
            return _NO_ROWS
        matches = pc.is_in(self.table.column("id"), value_set=pa.array(ids, pa.string()))
        found: IntArray = np.flatnonzero(matches.to_numpy() & self.alive)
        return found

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return the subset of these ids that exist."""
        numbers = self.numbers(ids)
        if not len(numbers):
            return set()
        return set(self.table.column("id").take(pa.array(numbers)).to_pylist())

    def take(self, numbers: IntArray) -> Segment:
        """Return rows as one segment; their numbers must be increasing."""
        parts = []
        for segment, start, end in zip(self.segments, self.starts, self.starts[1:], strict=False):
            local = numbers[(numbers >= start) & (numbers < end)] - start
            if len(local):
                parts.append(segment.take(local))
        return joined(parts)

    def filtered(self, where: Where | TextCondition) -> npt.NDArray[np.bool_]:
        """Return a mask of the rows that satisfy a condition, which may use `modality`."""
        mask: npt.NDArray[np.bool_] = self.alive.copy()
        if len(mask):
            mask &= where.mask(self.table.append_column(MODALITY, self._modalities()))
        return mask

    def merged(self, first: int) -> Rows:
        """Merge the segments from `first` on, without removed rows.

        Graphs must cover only earlier segments. If `first` is 0, they are dropped.
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
        """Return the index of one modality, which is created on first use."""
        # Locked, because a second thread would load the graph again and use another index.
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
        where: Where | TextCondition | None = None,
    ) -> list[Found]:
        """See `store.Store.search`."""
        with self._reading() if where is None else nullcontext():
            among = self._selection(target, where)
            found = self.nearest(target).search(queries, count, among)
        return [Found(self._records(rows), scores, vectors) for rows, scores, vectors in found]

    def search_words(
        self,
        query: npt.NDArray[np.float64],
        words: Sequence[str],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[tuple[float, Found]]:
        """See `store.Store.search_words`."""
        rows, shares = self._covered(tuple(words))
        if where is not None and len(rows):
            passes = self.filtered(where)[rows]
            rows, shares = rows[passes], shares[passes]
        nearest, groups = self.nearest(target), []
        for share in np.unique(shares)[::-1]:
            has_share = np.zeros(self.starts[-1], dtype=bool)
            has_share[rows[shares == share]] = True
            ((best, scores, vectors),) = nearest.search(
                query[None], count, nearest.select(has_share)
            )
            groups.append((float(share), Found(self._records(best), scores, vectors)))
            count -= len(best)
            if not count:
                break
        return groups

    def _records(self, numbers: IntArray) -> list[dict[str, Any]]:
        # Value by value, because `take` of ten rows of a table takes twice as long.
        return [
            {
                name: None if values is None else values[row].as_py()
                for name, values in self._values.items()
            }
            for row in numbers.tolist()
        ]

    @cached_property
    def _values(self) -> dict[str, pa.Array | pa.ChunkedArray | None]:
        """Columns of the table by name, as one array if possible; None if all values are null."""
        return {
            name: None
            if column.null_count == len(column)
            else column.chunk(0)
            if column.num_chunks == 1
            else column
            for name, column in zip(self.table.column_names, self.table.columns, strict=True)
        }

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Load the items in a background thread while the body of the `with` statement runs.

        A million items take a second to load, and so does a graph.
        """
        if "table" in vars(self):
            yield
            return
        with ThreadPoolExecutor(1) as pool:
            items = pool.submit(lambda: self.table)
            yield
            items.result()

    def _select(self, target: Modality, where: Where | TextCondition | None) -> Selection:
        nearest = self.nearest(target)
        if where is None:
            return nearest.select(self.alive) if len(self.removed) else nearest.everything
        return nearest.select(self.filtered(where))

    def _modalities(self) -> pa.Array:
        has_image, has_text = (np.zeros(self.starts[-1], dtype=bool) for _ in range(2))
        for column in self.columns("image"):
            has_image[column.rows] = True
        for column in self.columns("text"):
            has_text[column.rows] = True
        return pa.array(np.where(has_image, np.where(has_text, "pair", "image"), "text"))
