"""The items of a gallery: an Arrow table with four known columns and any others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.gallery.values import readable

if TYPE_CHECKING:
    from cmr_hub.types import IntArray

COLUMNS = {
    "id": pa.string(),
    "path": pa.string(),
    "sentences": pa.list_(pa.string()),
    "label": pa.string(),
}
"""The columns that every table of items begins with; all but `id` may be null."""

MODALITY = "modality"
"""The column that conditions see beside those of the table: `image`, `text` or `pair`."""

ZERO_SHOT_COLUMNS = "zero_shot_columns"
"""The column that lists those of a row that `Gallery.label` has written."""

RESERVED = ("folder", "sha256", "size", "modified", ZERO_SHOT_COLUMNS)
"""Columns that the package fills in itself, whatever a source says."""

_LONGEST = 16_384
"""Bytes of an id and of a path; no system has longer paths."""
NOT_RELATIVE = r"(^|/)\.{0,2}(/|$)"
"""A part that is empty, `.` or `..`: a path with one may lead out of its root folder."""
NOT_ABSOLUTE = r"^[^/]|^$|/\.{0,2}(/|$)"


@dataclass(frozen=True)
class Item:
    """One thing to be found: a picture, a text, or both."""

    id: str
    """Different for every item of a gallery."""
    path: Path | None = None
    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further columns by name: numbers, strings, dates, lists of them."""


def items_table(items: Iterable[Item]) -> pa.Table:
    """The table of these items, with absolute paths.

    Raises:
        ModelFormatError: an id is double, metadata has the name of a known column or values of
            several types, or a path is not UTF-8.
    """
    rows = list(items)
    others = dict.fromkeys(name for item in rows for name in item.metadata)
    try:
        columns = {
            "id": pa.array([item.id for item in rows], pa.string()),
            "path": pa.array(
                [None if item.path is None else os.path.abspath(item.path) for item in rows],  # noqa: PTH100 - Path.resolve() follows links
                pa.string(),
            ),
            "sentences": pa.array([list(item.sentences) for item in rows], pa.list_(pa.string())),
            "label": pa.array([item.label for item in rows], pa.string()),
        }
        for name in others:
            if name in columns or name == MODALITY:
                raise ModelFormatError(
                    f"metadata cannot be called {shown(name)}: choose another name"
                )
            columns[name] = pa.array([item.metadata.get(name) for item in rows])
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise ModelFormatError(f"the items do not make a table: {error}") from error
    return checked_items(pa.table(columns))


def checked_items(table: pa.Table, *, relative: bool = False) -> pa.Table:
    """The table in one piece, its known columns in place and of their types.

    Args:
        table: as it came.
        relative: its paths are those that `split_root` gave.

    Raises:
        ModelFormatError: a column is missing or of another type, or has values that Python has
            not; an id is null or double, or a path is not absolute.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise ModelFormatError(f"the items have no column {', '.join(missing)}")
    if len(set(table.column_names)) < len(table.column_names):
        raise ModelFormatError("two columns of the items have the same name")
    if MODALITY in table.column_names:
        raise ModelFormatError(f"no column of the items can be called {MODALITY!r}")
    others = [name for name in table.column_names if name not in COLUMNS]
    table = table.select([*COLUMNS, *others]).combine_chunks()
    for place, (name, kind) in enumerate(COLUMNS.items()):
        if table.schema.field(name).type != kind:
            try:
                table = table.set_column(place, name, table.column(name).cast(kind))
            except pa.ArrowException as error:
                raise ModelFormatError(f"items: column {name} must be {kind}: {error}") from error
    for name in others:
        place = table.column_names.index(name)
        column = readable(name, table.column(name))
        if column.type != table.schema.field(name).type:
            table = table.set_column(place, name, column)
    _check_keys(table, relative=relative)
    return table


def _check_keys(table: pa.Table, *, relative: bool) -> None:
    """Raises ModelFormatError for ids that are missing, double or too long, and for odd paths."""
    ids = table.column("id")
    if ids.null_count:
        raise ModelFormatError("an item has no id")
    if len(ids.unique()) < len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0].as_py()
        raise ModelFormatError(
            f"{twice['counts']} items have the id {shown(twice['values'])}: ids must differ"
        )
    for name in ("id", "path"):
        longest = pc.max(pc.binary_length(table.column(name))).as_py() or 0
        if longest > _LONGEST:
            raise ModelFormatError(
                f"an item has a {name} of {longest:,} bytes; the limit is {_LONGEST:,}"
            )
    if not relative and pc.any(_matches(table, NOT_ABSOLUTE)).as_py():
        raise ModelFormatError("the paths of items must be absolute, without '..' or '//'")


def picked(table: pa.Table, rows: IntArray) -> pa.Table:
    """Some rows of a table, by their numbers."""
    numbers = pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))
    # Not pa.array: Arrow imports pandas to see whether it was given a series of it.
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, numbers]))


def probability_column(column: str) -> str:
    """Where the probabilities of the zero-shot labels in a column are."""
    return f"{column}_probability"


def with_columns(table: pa.Table, columns: pa.Table) -> pa.Table:
    """The table with other columns in the place of those of their names, or after the others.

    Args:
        table: of items.
        columns: `id`, which says what row is meant, and the columns; a row whose id is not among
            them gets null.
    """
    places = pc.index_in(table.column("id"), value_set=columns.column("id"))
    for name in columns.column_names:
        if name == "id":
            continue
        column = columns.column(name).take(places)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table.combine_chunks()


def split_root(table: pa.Table) -> tuple[str | None, pa.Table]:
    """The deepest folder that all paths share, and the table with paths relative to it.

    The folder is None where no item has a path.
    """
    ends = pc.min_max(table.column("path")).as_py()
    if ends["min"] is None:
        return None, table
    # All strings between two share the prefix that those two share.
    root = os.path.commonpath([Path(ends["min"]).parent, Path(ends["max"]).parent])
    paths = pc.utf8_slice_codeunits(table.column("path"), len(root.rstrip("/")) + 1)
    return root, _with_paths(table, paths)


def join_root(table: pa.Table, root: str | None) -> pa.Table:
    """Undoes `split_root`, perhaps with another folder.

    Raises:
        ModelFormatError: a path is absolute or leads out of the folder.
    """
    paths = table.column("path")
    if paths.null_count == len(paths):
        return table
    if root is None:
        raise ModelFormatError("the items have relative paths, but no root folder is stored")
    if pc.any(_matches(table, NOT_RELATIVE)).as_py():
        raise ModelFormatError("a path of the items leads out of their root folder")
    # Not binary_join_element_wise: Arrow imports pandas to make a scalar of the root.
    joined = pc.utf8_replace_slice(paths, start=0, stop=0, replacement=root.rstrip("/") + "/")
    return _with_paths(table, joined)


def joined_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables; a column that one has not is null in its rows.

    Raises:
        ModelFormatError: a column is of types that do not go together.
    """
    if not tables:
        return items_table([])
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise ModelFormatError(
            f"the items have a column of two types: {error}; give one of them another name"
        ) from error


def _matches(table: pa.Table, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(table.column("path"), pattern)


def _with_paths(table: pa.Table, paths: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index("path"), "path", paths)
