"""Rows of a gallery in the files of its directory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

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

if TYPE_CHECKING:
    from cmr_hub.gallery.directory import GalleryDirectory
    from cmr_hub.gallery.graph import Graph
    from cmr_hub.types import IntArray, Modality

_TRIES = 10


def write_rows(
    directory: GalleryDirectory,
    rows: Rows,
    there: Mapping[str, FileRecord],
    model_id: str,
    model_name: str | None,
    *,
    neutral: Neutral | None = None,
    root: str | None = None,
) -> Manifest:
    """Writes what is not in the directory yet.

    Args:
        directory: whose writer's lock is held.
        rows: what the gallery shall be.
        there: the files that it is made of now; those that stay are not written again.
        model_id, model_name: for the manifest.
        neutral: what neutral sentences score, if it is known.
        root: where the pictures of new segments will be; default: where they are.

    Returns:
        The manifest to commit.
    """
    files: dict[str, FileRecord] = {}
    segments = []
    for segment in rows.segments:
        if isinstance(segment, StoredSegment) and segment.record.items in there:
            record = segment.record
            files |= {name: there[name] for name in (record.items, record.vectors)}
        else:
            record = _write_segment(directory, segment, there, files, root)
        segments.append(record)
    graphs = {}
    for target, part in rows.graphs.items():
        if part.record is not None and part.record.file in there:
            graphs[target] = part.record
            files[part.record.file] = there[part.record.file]
        else:
            graphs[target] = _write_graph(directory, part, files)
    removed = _write_removed(directory, rows.removed, files) if len(rows.removed) else None
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
        neutral=None if neutral is None else _write_neutral(directory, neutral, files),
    )


def read_rows(
    directory: Path, root: str | Path | None, *, whole: bool = False, known: Rows | None = None
) -> tuple[Manifest, Rows]:
    """What a directory holds; a writer that replaces it meanwhile is followed.

    Segments of `known` that are still there are not opened again.
    """
    manifest = Manifest.read(directory)
    for _ in range(_TRIES):
        try:
            manifest.check(directory, whole=whole)
            folder = None if root is None else os.path.abspath(root)  # noqa: PTH100
            return manifest, rows_of(directory, manifest, folder, known)
        except FileNotFoundError as error:
            before, manifest = manifest, Manifest.read(directory)
            if manifest == before:
                raise ModelFormatError(
                    f"{error.filename} is missing: the gallery is not whole; "
                    "make a new one with `cmr index`"
                ) from error
    raise ModelFormatError(f"{directory} changes faster than it can be read; try again")


def rows_of(
    directory: Path, manifest: Manifest, root: str | None, known: Rows | None = None
) -> Rows:
    """The rows that a manifest names; what is open already is not opened again."""
    stored = {
        segment.record.items: segment
        for segment in (known.segments if known else ())
        if isinstance(segment, StoredSegment)
    }
    segments: list[Segment] = []
    for record, folder in zip(manifest.segments, _folders(directory, manifest, root), strict=True):
        there = stored.get(record.items)
        if there is None or there.record != record:
            there = StoredSegment(directory, record, folder)
        segments.append(there)
    removed = np.empty(0, np.int64)
    if manifest.removed is not None:
        path = directory / manifest.removed
        removed = np.asarray(map_tensors(path).get("rows", removed))
        total = sum(map(len, segments))
        rising = removed.dtype == np.int64 and removed.ndim == 1
        if not rising or not (np.diff(removed, prepend=-1, append=total) > 0).all():
            raise ModelFormatError(f"{path} is damaged: it does not tell which rows are removed")
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
    there: Mapping[str, FileRecord],
    files: dict[str, FileRecord],
    root: str | None,
) -> SegmentRecord:
    shared, table = split_root(segment.items)
    items, files[items] = directory.add(
        "items", "parquet", lambda path: pq.write_table(table, path, compression="zstd")
    )
    before = segment.record
    if before is not None and before.vectors in there:
        # Only its items are new: a million vectors are a gigabyte.
        vectors, files[before.vectors] = before.vectors, there[before.vectors]
        # Seen from the gallery, its pictures are where they were, wherever both are taken.
        if before.root is not None and not Path(before.root).is_absolute():
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


def _write_graph(
    directory: GalleryDirectory, part: GraphPart, files: dict[str, FileRecord]
) -> GraphRecord:
    arrays = {name: [array] for name, array in part.load().arrays().items()}
    name, files[name] = directory.add(
        "graph", "safetensors", lambda path: write_tensors(path, arrays)
    )
    return GraphRecord(file=name, segments=part.segments)


def _write_removed(
    directory: GalleryDirectory, rows: IntArray, files: dict[str, FileRecord]
) -> str:
    name, files[name] = directory.add(
        "removed", "safetensors", lambda path: write_tensors(path, {"rows": [rows]})
    )
    return name


def _write_neutral(
    directory: GalleryDirectory, neutral: Neutral, files: dict[str, FileRecord]
) -> str:
    arrays = {name: [array] for name, array in neutral.arrays().items()}
    name, files[name] = directory.add(
        "neutral", "safetensors", lambda path: write_tensors(path, arrays)
    )
    return name


def read_neutral(directory: Path, manifest: Manifest) -> Neutral | None:
    """What neutral sentences score, as far as the gallery knows. Raises ModelFormatError."""
    if manifest.neutral is None:
        return None
    path = directory / manifest.neutral
    try:
        neutral = Neutral.of_arrays(map_tensors(path))
    except FileNotFoundError:  # a writer that had not known it was quicker
        return None
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from error
    if manifest.dim is not None:
        expect(f"{path}: dimensions", len(neutral.mean), manifest.dim)
    return neutral


def _folders(directory: Path, manifest: Manifest, root: str | None) -> list[str | None]:
    """Where the pictures of each segment are; a `root` takes the place of their common folder."""
    folders = [
        None if record.root is None else os.path.abspath(directory / record.root)  # noqa: PTH100
        for record in manifest.segments
    ]
    own = [folder for folder in folders if folder is not None]
    if root is None or not own:
        return folders
    common = os.path.commonpath(own)
    return [
        None if folder is None else os.path.normpath(f"{root}/{os.path.relpath(folder, common)}")
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
    """Raises ModelFormatError where two counts differ."""
    if found != expected:
        raise ModelFormatError(f"{what}: {found}, but the manifest says {expected}")
