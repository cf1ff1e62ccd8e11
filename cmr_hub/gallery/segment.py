"""Segments: rows of a gallery that were written together. They are immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.items import (
    checked_items,
    join_root,
    joined_tables,
    picked,
    with_columns,
)
from cmr_hub.gallery.tensors import map_tensors, write_tensors
from cmr_hub.gallery.vectors import VectorColumn, checked_vectors
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.manifest import SegmentRecord
    from cmr_hub.types import IntArray


class Segment:
    """A table of items and, for each modality, the vectors of some of its rows.

    Args:
        items: a table as returned by `items.items_table`.
        vectors: vectors by modality.
        record: record of the stored segment that already contains all these vectors; optional.
    """

    def __init__(
        self,
        items: pa.Table,
        vectors: Mapping[Modality, VectorColumn],
        record: SegmentRecord | None = None,
    ) -> None:
        self.items = items
        self.vectors = {name: column for name, column in vectors.items() if len(column)}
        self.record = record

    def __len__(self) -> int:
        return len(self.items)

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of items."""
        return list(self.items.column_names)

    def take(self, rows: IntArray) -> Segment:
        """Return a segment of some of the rows."""
        return Segment(
            picked(self.items, rows),
            {name: column.take(rows) for name, column in self.vectors.items()},
        )

    def with_columns(self, columns: pa.Table) -> Segment:
        """Return the same vectors with other columns of items; see `items.with_columns`."""
        return Segment(with_columns(self.items, columns), self.vectors, self.record)


class StoredSegment(Segment):
    """A segment in files: items are loaded lazily, vectors are memory-mapped."""

    record: SegmentRecord

    def __init__(self, directory: Path, record: SegmentRecord, root: str | None) -> None:
        self.record = record
        self._root = root
        self._reading = Lock()
        # Open the file now: it stays readable if a writer removes it.
        self._path = directory / record.items
        try:
            self._file = ParquetTable(self._path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ModelFormatError(f"{self._path} is damaged: {error}") from error
        if self._file.count != record.count:
            raise ModelFormatError(
                f"{self._path}: {self._file.count} rows, but the manifest has {record.count}"
            )
        self.vectors = read_vectors(directory / record.vectors, record.count)

    def __len__(self) -> int:
        return self.record.count

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of items, which are not loaded."""
        return list(self._file.schema.names)

    @cached_property
    def items(self) -> pa.Table:
        """The table, with absolute paths."""
        try:
            with self._reading:  # an open Parquet file is not thread-safe
                table = self._file.table()
            return join_root(checked_items(table, relative=True), self._root)
        except (pa.ArrowException, OSError, ModelFormatError) as error:
            raise ModelFormatError(f"{self._path}: {error}") from error


def segment_of(
    items: pa.Table,
    images: npt.ArrayLike | VectorColumn | None,
    texts: npt.ArrayLike | VectorColumn | None,
    dim: int | None,
) -> Segment:
    """Validate items with precomputed vectors and return them as a segment.

    Args:
        items: a table as returned by `items.items_table`.
        images, texts: (N, d) rows, or a `VectorColumn` if only some items have a vector.
        dim: dimension of the vectors in the gallery; None if it has none.

    Raises:
        ModelFormatError: see `Gallery.from_vectors`.
    """
    table = checked_items(items)
    given: dict[Modality, npt.ArrayLike | VectorColumn | None] = {"image": images, "text": texts}
    vectors = {
        target: checked_vectors(target, rows, len(table))
        for target, rows in given.items()
        if rows is not None
    }
    if not vectors:
        raise ModelFormatError("a gallery needs image_embeddings, text_embeddings, or both")
    widths = {column.matrix.shape[1] for column in vectors.values() if len(column)}
    if len(widths) > 1:
        raise ModelFormatError("image and text vectors differ in width: they are not of one model")
    if widths and dim is not None and widths != {dim}:
        raise ModelFormatError(
            f"the vectors have {widths.pop()} numbers, those of the gallery have {dim}"
        )
    return Segment(table, vectors)


def joined(segments: Sequence[Segment]) -> Segment:
    """Concatenate segments."""
    starts = np.cumsum([0, *map(len, segments)])
    vectors: dict[Modality, VectorColumn] = {}
    for name in _modalities(segments):
        columns = [
            segment.vectors[name].moved(int(start))
            for segment, start in zip(segments, starts, strict=False)
            if name in segment.vectors
        ]
        vectors[name] = VectorColumn(
            np.concatenate([column.matrix for column in columns]),
            np.concatenate([column.rows for column in columns]),
        )
    return Segment(joined_tables([segment.items for segment in segments]), vectors)


def write_vectors(path: Path, vectors: Mapping[Modality, VectorColumn], count: int) -> None:
    """Write `image` and `text`, and `image.rows` or `text.rows` if only some rows have a vector."""
    arrays: dict[str, Sequence[npt.NDArray[Any]]] = {}
    for name, column in vectors.items():
        arrays[name] = [column.matrix]
        if len(column) < count:
            arrays[f"{name}.rows"] = [column.rows]
    write_tensors(path, arrays)


def read_vectors(path: Path, count: int) -> dict[Modality, VectorColumn]:
    """Read what `write_vectors` wrote, without checking the lengths of the vectors.

    Raises:
        FileNotFoundError: the file does not exist.
        ModelFormatError: its content is invalid.
    """
    arrays = map_tensors(path)
    vectors: dict[Modality, VectorColumn] = {}
    for name in ("image", "text"):
        matrix = arrays.pop(name, None)
        rows = arrays.pop(f"{name}.rows", None)
        if matrix is None:
            continue
        column = VectorColumn(matrix, np.arange(count) if rows is None else np.asarray(rows))
        try:
            vectors[name] = checked_vectors(name, column, count, lengths=False)
        except ModelFormatError as error:
            raise ModelFormatError(f"{path}: {error}") from error
    if arrays:
        raise ModelFormatError(f"{path}: unknown modality {', '.join(arrays)}")
    return vectors


def _modalities(segments: Sequence[Segment]) -> list[Modality]:
    return list(dict.fromkeys(name for segment in segments for name in segment.vectors))
