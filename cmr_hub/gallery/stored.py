"""Read and write the rows of a gallery in its directory."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.clear import Neutral
from cmr_hub.gallery.items import split_root
from cmr_hub.gallery.manifest import (
    FORMAT_VERSION,
    FileRecord,
    GraphRecord,
    Manifest,
    SegmentRecord,
)
from cmr_hub.gallery.rows import GraphPart, Rows
from cmr_hub.gallery.segment import Segment, StoredSegment, write_vectors
from cmr_hub.gallery.tensors import map_tensors, write_tensors
from cmr_hub.paths import absolute, common_folder, is_of_windows, stored_path

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.directory import GalleryDirectory
    from cmr_hub.gallery.graph import Graph
    from cmr_hub.types import Modality

DISMISSED = pa.schema({"path": pa.string(), "sha256": pa.string(), "size": pa.int64()})
"""Columns of the pictures that indexing skips."""
NONE_DISMISSED = pa.Table.from_batches([], DISMISSED)  # empty_table() imports pandas
_TRIES = 10


def write_rows(
    directory: GalleryDirectory,
    rows: Rows,
    existing: Mapping[str, FileRecord],
    model_id: str,
    model_name: str | None,
    *,
    neutral: Neutral | None = None,
    dismissed: pa.Table | None = None,
    root: str | None = None,
) -> Manifest:
    """Write the missing files of the rows to the directory.

    Args:
        directory: the directory, whose writer lock the caller holds.
        rows: new content of the gallery.
        existing: current files of the gallery, which are reused.
        model_id, model_name: identification of the model in the manifest.
        neutral: optional scores of neutral sentences.
        dismissed: optional pictures that indexing skips.
        root: future folder of the pictures of new segments. Default: their current folder.

    Returns:
        The manifest to commit.
    """
    files: dict[str, FileRecord] = {}

    def add_arrays(kind: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
        blocks = {name: [array] for name, array in arrays.items()}
        name, files[name] = directory.add(
            kind, "safetensors", lambda path: write_tensors(path, blocks)
        )
        return name

    segments = []
    for segment in rows.segments:
        if isinstance(segment, StoredSegment) and segment.record.items in existing:
            record = segment.record
            files |= {name: existing[name] for name in (record.items, record.vectors)}
        else:
            record = _write_segment(directory, segment, existing, files, root)
        segments.append(record)
    graphs = {}
    for target, part in rows.graphs.items():
        if part.record is not None and part.record.file in existing:
            graphs[target] = part.record
            files[part.record.file] = existing[part.record.file]
        else:
            graph_file = add_arrays("graph", part.load().arrays())
            graphs[target] = GraphRecord(file=graph_file, segments=part.segments)
    removed = add_arrays("removed", {"rows": rows.removed}) if len(rows.removed) else None
    neutral_file = None if neutral is None else add_arrays("neutral", neutral.arrays())
    dismissed_file = None
    if dismissed:
        dismissed_file, files[dismissed_file] = directory.add(
            "dismissed", "parquet", lambda path: pq.write_table(dismissed, path, compression="zstd")
        )
    return Manifest(
        format_version=FORMAT_VERSION,
        model_id=model_id,
        model_name=model_name,
        dim=rows.dim,
        count=len(rows),
        vectors=rows.vector_counts,
        segments=segments,
        removed=removed,
        graphs=graphs,
        files=files,
        neutral=neutral_file,
        dismissed=dismissed_file,
    )


def read_rows(
    directory: Path, root: str | Path | None, *, whole: bool = False, known: Rows | None = None
) -> tuple[Manifest, Rows]:
    """Read the rows of a directory, and retry if a writer replaces them meanwhile.

    Segments of `known` that still exist are reused.
    """
    manifest = Manifest.read(directory)
    for _ in range(_TRIES):
        try:
            manifest.check(directory, whole=whole)
            folder = None if root is None else stored_path(root)
            return manifest, rows_of(directory, manifest, folder, known)
        except FileNotFoundError as error:
            before, manifest = manifest, Manifest.read(directory)
            if manifest == before:
                raise ModelFormatError(
                    f"{error.filename} is missing: the gallery is incomplete; "
                    "make a new one with `cmr index`"
                ) from error
    raise ModelFormatError(f"{directory} changes while it is read; try again")


def rows_of(
    directory: Path, manifest: Manifest, root: str | None, known: Rows | None = None
) -> Rows:
    """Open the rows that a manifest lists, reusing open segments of `known`."""
    stored = {
        segment.record.items: segment
        for segment in (known.segments if known else ())
        if isinstance(segment, StoredSegment)
    }
    segments: list[Segment] = []
    for record, folder in zip(manifest.segments, _folders(directory, manifest, root), strict=True):
        segment = stored.get(record.items)
        if segment is None or segment.record != record:
            segment = StoredSegment(directory, record, folder)
        segments.append(segment)
    removed = np.empty(0, np.int64)
    if manifest.removed is not None:
        path = directory / manifest.removed
        removed = np.asarray(map_tensors(path).get("rows", removed))
        total = sum(map(len, segments))
        is_list = removed.dtype == np.int64 and removed.ndim == 1
        if not is_list or not (np.diff(removed, prepend=-1, append=total) > 0).all():
            raise ModelFormatError(f"{path} is damaged: it is not a list of removed rows")
    graphs = {
        target: _graph_part(directory, record, segments, target)
        for target, record in manifest.graphs.items()
    }
    rows = Rows(segments, removed, graphs)
    expect(f"{directory}: rows", len(rows), manifest.count)
    if segments:
        expect(f"{directory}: dimensions", _dims(segments) or {None}, {manifest.dim})
    return rows


def _write_segment(
    directory: GalleryDirectory,
    segment: Segment,
    existing: Mapping[str, FileRecord],
    files: dict[str, FileRecord],
    root: str | None,
) -> SegmentRecord:
    shared, table = split_root(segment.items)
    items, files[items] = directory.add(
        "items", "parquet", lambda path: pq.write_table(table, path, compression="zstd")
    )
    before = segment.record
    if before is not None and before.vectors in existing:
        # Only the items are new, and a million vectors have a gigabyte.
        vectors, files[before.vectors] = before.vectors, existing[before.vectors]
        # Keep a relative root, so that gallery and pictures can be moved together.
        if before.root and not (before.root.startswith("/") or is_of_windows(before.root)):
            root = before.root
    else:
        vectors, files[vectors] = directory.add(
            "vectors",
            "safetensors",
            lambda path: write_vectors(path, segment.vectors, len(segment)),
        )
    return SegmentRecord(
        items=items, vectors=vectors, count=len(segment), root=shared and (root or shared)
    )


def read_neutral(directory: Path, manifest: Manifest) -> Neutral | None:
    """Read the scores of neutral sentences, if stored. Raises ModelFormatError."""
    if manifest.neutral is None:
        return None
    path = directory / manifest.neutral
    try:
        neutral = Neutral.of_arrays(map_tensors(path))
    except FileNotFoundError:  # the gallery was replaced meanwhile
        return None
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from error
    if manifest.dim is not None:
        expect(f"{path}: dimensions", len(neutral.mean), manifest.dim)
    return neutral


def read_dismissed(directory: Path, manifest: Manifest) -> pa.Table:
    """Read the pictures that indexing skips. Raises ModelFormatError."""
    if manifest.dismissed is None:
        return NONE_DISMISSED
    path = directory / manifest.dismissed
    try:
        return ParquetTable(path).table().select(DISMISSED.names).cast(DISMISSED)
    except FileNotFoundError:  # the gallery was replaced meanwhile
        return NONE_DISMISSED
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error


def _folders(directory: Path, manifest: Manifest, root: str | None) -> list[str | None]:
    """Return the picture folder of each segment; `root` replaces their common folder."""
    folders = [
        absolute(record.root, directory) if record.root else record.root
        for record in manifest.segments
    ]
    known = [folder for folder in folders if folder is not None]
    if root is None or not known:
        return folders
    common = common_folder(known) if all(known) else ""
    if not common:
        raise ModelFormatError(
            f"{directory} has pictures on several drives: there is no common folder that {root} "
            "could replace"
        )
    return [
        None
        if folder is None
        else posixpath.normpath(f"{root}/{posixpath.relpath(folder, common)}")
        for folder in folders
    ]


def _graph_part(
    directory: Path, record: GraphRecord, segments: Sequence[Segment], target: Modality
) -> GraphPart:
    arrays = map_tensors(directory / record.file)
    columns = [
        segment.vectors[target]
        for segment in segments[: record.segments]
        if target in segment.vectors
    ]

    def load() -> Graph:
        from cmr_hub.gallery.graph import Graph

        try:
            dim = columns[0].matrix.shape[1]
            return Graph.of_arrays(arrays, dim, sum(map(len, columns)))
        except (ModelFormatError, IndexError) as error:
            raise ModelFormatError(f"{directory / record.file}: {error}") from error

    return GraphPart(record.segments, load, record)


def _dims(segments: Sequence[Segment]) -> set[int | None]:
    return {column.matrix.shape[1] for segment in segments for column in segment.vectors.values()}


def expect(what: str, found: object, expected: object) -> None:
    """Raise ModelFormatError if two counts differ."""
    if found != expected:
        raise ModelFormatError(f"{what}: {found}, but the manifest has {expected}")
