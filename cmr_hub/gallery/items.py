"""Items of a gallery: an Arrow table with four standard columns and any other columns."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.errors import ModelFormatError, QueryError, shown
from cmr_hub.gallery.values import readable
from cmr_hub.paths import common_folder, is_of_windows, stored_path

if TYPE_CHECKING:
    from cmr_hub.types import IntArray

COLUMNS = {
    "id": pa.string(),
    "path": pa.string(),
    "sentences": pa.list_(pa.string()),
    "label": pa.string(),
}
"""The first columns of every table of items. All except `id` may be null."""

MODALITY = "modality"
"""A virtual column for conditions: `image`, `text` or `pair`."""

ZERO_SHOT_COLUMNS = "zero_shot_columns"
"""The column that lists the columns of a row written by `Gallery.label`."""

PICTURE_HASH = "picture_hash"
"""The column of perceptual hashes (see `indexing.copies`)."""

COPY_OF = "copy_of"
"""The column with the id of the first copy of the same picture; null for the first copy."""

TEXT = "text_in_picture"
"""The column with the text in a picture: "" if there is none, null if it was not read."""

TEXT_PROBLEM = "text_problem"
"""The fact, not a column, with the reason why the text in a picture cannot be read."""

VIDEO = "video"
"""The column with the path of the video of a frame, relative to the indexed folder."""

TIME = "time"
"""The column with the time of a frame in its video, in seconds."""

SCENES = "scenes"
"""The column with the number of frames that were selected from a video."""

INTERNAL = ("sha256", "size", "modified", "name", ZERO_SHOT_COLUMNS, PICTURE_HASH, COPY_OF)
"""Columns that only indexing needs. User interfaces hide them."""

RESERVED = (
    *("folder", "sha256", "size", "modified", PICTURE_HASH, COPY_OF, TEXT),
    ZERO_SHOT_COLUMNS,
)
"""Columns that the package computes; values from a source are ignored."""

FACT_TYPES = {
    "taken": pa.timestamp("us"),
    "taken_offset": pa.string(),
    "year": pa.int64(),
    "month": pa.int64(),
    "camera": pa.string(),
    "lens": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "width": pa.int64(),
    "height": pa.int64(),
    "orientation": pa.string(),
}
"""Columns of `datasets.camera.camera_facts`, unless the metadata has a column of the same name."""

FRAME_ID = "^([0-9a-f]{32})#t=.*$"
"""Matches the id of a frame. The group is the same for all frames of a video."""

_LONGEST = 16_384
"""Maximum bytes of an id or a path; no system has longer paths."""
NOT_RELATIVE = r"(^|/)\.{0,2}(/|$)"
"""Matches a path with a part that is empty, `.` or `..`, which may lead out of the root folder."""
NOT_ABSOLUTE = (
    r"^([^/a-zA-Z]|[a-zA-Z]([^:]|$)|[a-zA-Z]:([^/]|$)|$)"
    r"|^/(/?$|//|/[.?]/|\.{1,2}(/|$))|[^/]/\.{0,2}(/|$)"
)
"""Matches a path that is not absolute on POSIX or Windows, has such a part, or is a device."""


_FIELDS: dict[str, tuple[Any, str]] = {
    "id": (str, "a string"),
    "path": (str | os.PathLike | None, "a path"),
    "label": (str | None, "a string or None"),
    "metadata": (Mapping, "a mapping"),
}
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """An item of a gallery: a picture, a text, or both."""

    id: str
    """Unique within a gallery."""
    path: Path | None = None
    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Values of further columns: numbers, strings, dates or lists of them."""

    def __post_init__(self) -> None:
        for name, (kind, what) in _FIELDS.items():
            if not isinstance(value := getattr(self, name), kind):
                raise QueryError(f"the {name} of an item must be {what}, not {shown(value)}")
        # A single string would be taken as a sequence of sentences.
        object.__setattr__(self, "sentences", tuple(listed("sentences", self.sentences, str)))


def listed(name: str, values: Iterable[T], kind: type[T]) -> list[T]:
    """Return values as a list. Raises QueryError unless they are an iterable of `kind`."""
    if isinstance(values, kind | str | bytes) or not isinstance(values, Iterable):
        raise QueryError(f"{name} must be a list, not {shown(values)}")
    found = list(values)
    for value in found:
        if not isinstance(value, kind):
            raise QueryError(f"{name} must be a list of {kind.__name__}, not of {shown(value)}")
    return found


def items_table(items: Iterable[Item]) -> pa.Table:
    """Convert items to a table with absolute paths.

    Raises:
        ModelFormatError: an id is not unique, metadata uses the name of a standard column or mixes
            types, or a path is not UTF-8.
    """
    rows = list(items)
    others = dict.fromkeys(name for item in rows for name in item.metadata)
    try:
        columns = {
            "id": pa.array([item.id for item in rows], pa.string()),
            "path": pa.array(
                [None if item.path is None else stored_path(item.path) for item in rows],
                pa.string(),
            ),
            "sentences": pa.array([list(item.sentences) for item in rows], pa.list_(pa.string())),
            "label": pa.array([item.label for item in rows], pa.string()),
        }
        for name in others:
            if name in columns or name == MODALITY:
                raise ModelFormatError(
                    f"metadata cannot have the name {shown(name)}: choose another name"
                )
            columns[name] = pa.array([item.metadata.get(name) for item in rows])
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise ModelFormatError(f"the items do not form a table: {error}") from error
    return checked_items(pa.table(columns))


def checked_items(table: pa.Table, *, relative: bool = False) -> pa.Table:
    """Validate a table. Return it in one chunk, with the standard columns first.

    Args:
        table: a table of items from any source.
        relative: whether the paths are relative, as `split_root` returns them.

    Raises:
        ModelFormatError: a column is missing, has a wrong type, or has values that Python cannot
            represent; an id is null or not unique; or a path is not absolute.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise ModelFormatError(f"the items have no column {', '.join(missing)}")
    if len(set(table.column_names)) < len(table.column_names):
        raise ModelFormatError("two columns of the items have the same name")
    if MODALITY in table.column_names:
        raise ModelFormatError(f"no column of the items can be called {MODALITY!r}")
    names = table.column_names
    # Galleries of earlier versions have a number of nanoseconds.
    if {"sha256", "modified"} <= set(names) and pa.types.is_integer(
        table.schema.field("modified").type
    ):
        times = pc.divide(table.column("modified"), 1000).cast(pa.timestamp("us"))
        table = table.set_column(names.index("modified"), "modified", times)
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
    """Raise ModelFormatError for missing, duplicate or overlong ids, and for invalid paths."""
    ids = table.column("id")
    if ids.null_count:
        raise ModelFormatError("an item has no id")
    if len(ids.unique()) < len(ids):
        counts = pc.value_counts(ids)
        first = counts.filter(pc.greater(counts.field("counts"), 1))[0].as_py()
        raise ModelFormatError(
            f"{first['counts']} items have the id {shown(first['values'])}: ids must be unique"
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
    """Return the rows of a table at these positions."""
    numbers = pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))
    # Not pa.array, which imports pandas to check for a Series.
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, numbers]))


def picture_ids(table: pa.Table) -> pa.ChunkedArray:
    """Return an id for each row that is the same for all copies of a picture or frames of a video.

    This is the id of the first copy of a picture, or the prefix of the id of a frame.
    """
    ids = table.column("id")
    own = ids
    if COPY_OF in table.column_names:
        own = pc.coalesce(table.column(COPY_OF).cast(pa.string()), ids)
    if VIDEO in table.column_names:
        own = pc.if_else(pc.match_substring_regex(ids, FRAME_ID), ids, own)
        own = pc.replace_substring_regex(own, FRAME_ID, r"\1")
    return own


def probability_column(column: str) -> str:
    """Return the name of the column with the probabilities of zero-shot labels."""
    return f"{column}_probability"


def with_columns(table: pa.Table, columns: pa.Table) -> pa.Table:
    """Replace columns of a table, or append new columns.

    Args:
        table: a table of items.
        columns: the columns and `id`, by which rows are matched. Rows without a match get null.
    """
    positions = pc.index_in(table.column("id"), value_set=columns.column("id"))
    for name in columns.column_names:
        if name == "id":
            continue
        column = columns.column(name).take(positions)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table.combine_chunks()


def split_root(table: pa.Table) -> tuple[str | None, pa.Table]:
    """Return the deepest common folder of all paths, and the table with paths relative to it.

    The folder is None if no item has a path. It is "" if the paths are on several drives and
    remain absolute.
    """
    ends = pc.min_max(table.column("path")).as_py()
    if ends["min"] is None:
        return None, table
    # A common prefix of the first and the last path is a prefix of all paths.
    root = common_folder([posixpath.dirname(ends["min"]), posixpath.dirname(ends["max"])])
    if not root:
        return root, table
    paths = pc.utf8_slice_codeunits(table.column("path"), len(root.rstrip("/")) + 1)
    return root, _with_paths(table, paths)


def join_root(table: pa.Table, root: str | None) -> pa.Table:
    """Make relative paths absolute, below the same or another root folder.

    Raises:
        ModelFormatError: a path is absolute or leads out of the folder.
    """
    paths = table.column("path")
    if paths.null_count == len(paths):
        return table
    if root is None:
        raise ModelFormatError("the items have relative paths, but no root folder is stored")
    if os.sep == "\\" or is_of_windows(root):
        # `..` between backslashes would lead out of the root as well.
        paths = pc.replace_substring(paths, "\\", "/")
        table = _with_paths(table, paths)
    if not root:
        _check_keys(table, relative=False)
        return table
    if pc.any(_matches(table, NOT_RELATIVE)).as_py():
        raise ModelFormatError("a path of the items leads out of their root folder")
    # Not binary_join_element_wise, which imports pandas to convert the root to a scalar.
    joined = pc.utf8_replace_slice(paths, start=0, stop=0, replacement=root.rstrip("/") + "/")
    return _with_paths(table, joined)


def joined_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables; columns missing from a table are filled with null.

    Raises:
        ModelFormatError: a column has types that cannot be unified.
    """
    if not tables:
        return items_table([])
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise ModelFormatError(
            f"a column of the items has two types: {error}; rename one of the columns"
        ) from error


def _matches(table: pa.Table, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(table.column("path"), pattern)


def _with_paths(table: pa.Table, paths: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index("path"), "path", paths)
