"""An approximate index: HNSW over vectors quantised to 8 bits.

Hierarchical navigable small worlds (Malkov and Yashunin 2018, arXiv 1603.09320), implemented by
FAISS. Each vector is a node with links to its neighbours. A search walks from node to node and
keeps the `ef` best nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import faiss
import numpy as np

from cmr_hub.cores import threads
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.huge_pages import in_huge_pages

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, IntArray

LINKS = 32
EF_CONSTRUCTION = 200
EF_SEARCH = 200
"""Recall@10 is at least .98 at a million vectors; see docs/scale.md for the curve."""
_FILTER_MARGIN = 4
_BLOCK = 20_000
_PARTS = {
    "codes": np.dtype(np.uint8),
    "bounds": np.dtype(np.float32),
    "neighbors": np.dtype(np.int32),
    "levels": np.dtype(np.int32),
    "entry": np.dtype(np.int64),
}


class Graph:
    """An HNSW index of vectors, numbered in the order in which they were added.

    Args:
        dim: dimension of the vectors.
        bounds: minimum and maximum of the values, which are quantised in 256 steps. Values
            outside are clipped.
    """

    def __init__(self, dim: int, bounds: tuple[float, float]) -> None:
        kind = faiss.ScalarQuantizer.QT_8bit_uniform
        self.index = faiss.IndexHNSWSQ(dim, kind, LINKS, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        low, high = bounds
        faiss.copy_array_to_vector(np.array([low, high - low], np.float32), self._codes.sq.trained)
        self.index.is_trained = self._codes.is_trained = True

    @classmethod
    def for_vectors(cls, matrices: Sequence[FloatArray]) -> Self:
        """Create an empty graph for the range of values of these vectors."""
        bounds = min(float(m.min()) for m in matrices), max(float(m.max()) for m in matrices)
        return cls(matrices[0].shape[1], bounds)

    @property
    def _codes(self) -> Any:
        return faiss.downcast_index(self.index.storage)

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def add(self, matrices: Iterable[FloatArray]) -> Iterator[int]:
        """Add vectors block by block; yield the size of each block."""
        for matrix in matrices:
            for start in range(0, len(matrix), _BLOCK):
                block = np.ascontiguousarray(matrix[start : start + _BLOCK])
                with faiss_threads(threads()):
                    self.index.add(block)
                yield len(block)

    def search(
        self, query: FloatArray, count: int, share: float, bits: npt.NDArray[np.uint8] | None
    ) -> tuple[FloatArray, IntArray]:
        """Return the approximate nearest neighbours among the selected vectors.

        Args:
            query: (d,) float32.
            count: maximum number of results; there may be fewer.
            share: fraction of the vectors that are selected, in (0, 1].
            bits: one bit per vector, least significant bit first; None selects all.

        Returns:
            Scores and positions, best first.
        """
        # About ef·share of the ef nearest are selected, and the `count` best must be among them.
        # The fixed minimum of ef keeps the ranking the same on all pages of one search.
        ef = max(EF_SEARCH, 2 * count, int(_FILTER_MARGIN * count / share) if share < 1 else 0)
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        settings = faiss.SearchParametersHNSW(efSearch=ef, sel=selector)
        scores, found = self.index.search(query[None], count, params=settings)
        valid = found[0] >= 0  # FAISS pads with -1
        return scores[0, valid], found[0, valid]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).of_arrays, (self.arrays(), self.index.d, len(self))

    def copy(self) -> Self:
        """Return an independent copy."""
        return self.of_arrays(self.arrays(), self.index.d, len(self))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the vectors and links as arrays that can be stored."""
        hnsw, storage = self.index.hnsw, self._codes
        low, width = faiss.vector_to_array(storage.sq.trained)
        return {
            "codes": view(storage.codes).reshape(len(self), -1),
            "bounds": np.array([low, low + width], dtype=np.float32),
            "neighbors": view(hnsw.neighbors),
            "levels": faiss.vector_to_array(hnsw.levels),
            "entry": np.array([hnsw.entry_point, hnsw.max_level], dtype=np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], dim: int, count: int) -> Self:
        """Restore a graph from the output of `arrays`.

        Raises:
            ModelFormatError: the arrays are not a graph of `count` vectors of dimension `dim`.
        """
        try:
            codes, bounds, links, levels, entry = (np.asarray(arrays[name]) for name in _PARTS)
            low, high = bounds.tolist()
            graph = cls(dim, (low, high))
            hnsw, storage = graph.index.hnsw, graph._codes
            places = faiss.vector_to_array(hnsw.cum_nneighbor_per_level).astype(np.int64)
            offsets = np.concatenate([[0], np.cumsum(places[levels])]) if count else None
            sound = (
                offsets is not None
                and codes.shape == (count, storage.code_size)
                and -1 <= low < high <= 1
                and all(arrays[name].dtype == dtype for name, dtype in _PARTS.items())
                and _is_sound(levels, offsets, links, places, entry)
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFormatError(
                f"the graph lacks parts, or they are damaged: {error}"
            ) from error
        if not sound or offsets is None:
            raise ModelFormatError(
                f"the arrays are not a graph of {count} vectors of dimension {dim}"
            )
        faiss.copy_array_to_vector(codes.ravel(), storage.codes)
        faiss.copy_array_to_vector(links, hnsw.neighbors)
        faiss.copy_array_to_vector(levels, hnsw.levels)
        faiss.copy_array_to_vector(offsets.astype(np.uint64), hnsw.offsets)
        storage.ntotal = graph.index.ntotal = count
        hnsw.entry_point, hnsw.max_level = (int(value) for value in entry)
        return graph

    def settle(self) -> None:
        """Move the graph to huge pages; nothing may be added to it afterwards."""
        in_huge_pages(self.index, view(self._codes.codes), view(self.index.hnsw.neighbors))


def view(vector: Any) -> npt.NDArray[Any]:
    """Return a view of a FAISS vector, which must outlive the view."""
    found: npt.NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return found


def _is_sound(
    levels: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    links: npt.NDArray[np.int32],
    places: npt.NDArray[np.int64],
    entry: npt.NDArray[np.int64],
) -> bool:
    """Check all links. FAISS does not, and would read arbitrary memory through a wrong link."""
    count = len(levels)
    start, top = entry
    if levels.min() < 1 or offsets[-1] != len(links) or not 0 <= start < count:
        return False
    if not top == levels[start] - 1 == levels.max() - 1:
        return False
    if links.min() < -1 or links.max() >= count:
        return False
    # A link of an upper level must lead to a node of that level.
    for level in range(1, int(levels.max())):
        nodes = np.flatnonzero(levels > level)
        upper = links[offsets[nodes, None] + np.arange(places[level], places[level + 1])]
        if (levels[upper[upper >= 0]] <= level).any():
            return False
    return True


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """Set the number of FAISS threads within the context.

    The number is restored afterwards, because FAISS and torch may share one OpenMP runtime.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
