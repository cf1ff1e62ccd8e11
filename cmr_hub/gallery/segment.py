"""Immutable segments of rows that were written together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.errors import CMRError, ModelFormatError, shown
from cmr_hub.gallery.items import (
    Item,
    checked_items,
    items_table,
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

    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.gallery.manifest import SegmentRecord
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import IntArray


class Segment:
    """A table of items and, for each modality, the vectors of some of its rows.

    Args:
        items: a table as returned by `items.items_table`.
        vectors: vectors by modality.
        record: record of the stored segment that has the same vectors; optional.
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
        """Return a segment with replaced or added columns; see `items.with_columns`."""
        return Segment(with_columns(self.items, columns), self.vectors, self.record)


class StoredSegment(Segment):
    """A segment in files. Items are loaded on first use; vectors are memory-mapped."""

    record: SegmentRecord

    def __init__(self, directory: Path, record: SegmentRecord, root: str | None) -> None:
        self.record = record
        self._root = root
        self._reading = Lock()
        # Open the file now, so that it remains readable if a writer removes it.
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
        """Names of the columns of items; this does not load the items."""
        return list(self._file.schema.names)

    @cached_property
    def items(self) -> pa.Table:
        """The table of items, with absolute paths."""
        try:
            with self._reading:  # an open Parquet file is not thread-safe
                table = self._file.table()
            return join_root(checked_items(table, relative=True), self._root)
        except (pa.ArrowException, OSError, ModelFormatError) as error:
            raise ModelFormatError(f"{self._path}: {error}") from error


def encode_items(
    model: CrossModalModel,
    items: Sequence[Item],
    *,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Segment:
    """Encode the picture and the sentences of items; sentences need a known word.

    Raises:
        CMRError: the model has no encoders, or an item has neither a picture nor a known word.
        ModelFormatError: the items do not form a table.
        ImageError: a picture cannot be read.
    """
    if not (model.image.has_encoder and model.text.has_encoder):
        raise CMRError("a model of precomputed features cannot embed pictures and sentences")
    table = items_table(items)
    image_rows = np.flatnonzero([item.path is not None for item in items])
    text_rows = np.flatnonzero([model.text.knows(item.sentences) for item in items])
    empty = np.setdiff1d(np.arange(len(items)), np.union1d(image_rows, text_rows))
    if len(empty):
        raise CMRError(
            f"{len(empty)} items have neither a picture nor a word that the model knows, "
            f"e.g. {shown(items[empty[0]].id)}: leave them out"
        )
    paths = [path for item in items if (path := item.path) is not None]
    images = model.image.encode(paths, cache=cache, progress=progress)
    texts = model.encode_documents([items[int(row)].sentences for row in text_rows])
    return Segment(
        table, {"image": VectorColumn(images, image_rows), "text": VectorColumn(texts, text_rows)}
    )


def segment_of(
    items: pa.Table,
    images: npt.ArrayLike | VectorColumn | None,
    texts: npt.ArrayLike | VectorColumn | None,
    dim: int | None,
) -> Segment:
    """Create a segment from items with precomputed vectors, after validating them.

    Args:
        items: a table as returned by `items.items_table`.
        images, texts: (N, d) rows, or a `VectorColumn` if only some items have a vector.
        dim: dimension of the existing vectors of the gallery; None if there are none.

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
        raise ModelFormatError(
            "image and text vectors have different dimensions: they are from different models"
        )
    if widths and dim is not None and widths != {dim}:
        raise ModelFormatError(
            f"the vectors have {widths.pop()} dimensions, those of the gallery have {dim}"
        )
    return Segment(table, vectors)


def joined(segments: Sequence[Segment]) -> Segment:
    """Concatenate segments."""
    starts = np.cumsum([0, *map(len, segments)])
    vectors: dict[Modality, VectorColumn] = {}
    for name in dict.fromkeys(name for segment in segments for name in segment.vectors):
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
    """Write `image` and `text`, and their `.rows` if only some rows have a vector."""
    arrays: dict[str, Sequence[npt.NDArray[Any]]] = {}
    for name, column in vectors.items():
        arrays[name] = [column.matrix]
        if len(column) < count:
            arrays[f"{name}.rows"] = [column.rows]
    write_tensors(path, arrays)


def read_vectors(path: Path, count: int) -> dict[Modality, VectorColumn]:
    """Read the output of `write_vectors`, without checking the lengths of the vectors.

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
