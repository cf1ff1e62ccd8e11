"""Unify the type of each metadata column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import shown
from cmr_hub.gallery.indexing.entry import Entry
from cmr_hub.gallery.items import FACT_TYPES
from cmr_hub.gallery.values import as_text, common_type

if TYPE_CHECKING:
    from cmr_hub.gallery.store import Store

_FACTS = pa.schema(FACT_TYPES)


def settled(
    entries: Sequence[Entry], table: pa.Table, store: Store, report: ReadReport
) -> tuple[list[Entry], pa.Table]:
    """Convert the values of each metadata column to one type: bool, int, float or str.

    A column with values of several types becomes text, also in existing rows of the gallery. The
    types of camera facts count too, because they are in the same columns.

    Args:
        entries: entries from any source.
        table: existing rows of the folder in the gallery.
        store: storage of the gallery. Columns that become text are rewritten.
        report: collects the columns that become text.

    Returns:
        The entries and the table, with converted values.
    """
    kinds: dict[str, set[type]] = {}
    for entry in entries:
        for name, value in entry.metadata.items():
            kinds.setdefault(name, set()).add(type(value))
    chosen: dict[str, type] = {}
    for name, found in kinds.items():
        stored = _kind(table.schema, name)
        others = {kind for kind in (stored, _kind(_FACTS, name)) if kind is not None}
        chosen[name] = kind = common_type(found | others)
        if kind is not str or stored is str or (stored is None and len(found) == 1):
            continue
        detail = f"the column {shown(name)} has values of several types and is now text"
        report.add("changed column", "metadata", detail)
        if stored is not None:
            items = store.table()
            store.set_columns(pa.table({"id": items["id"], name: _texts(items[name])}))
            table = table.set_column(table.column_names.index(name), name, _texts(table[name]))
    if all(found == {chosen[name]} for name, found in kinds.items()):
        return list(entries), table
    return [_converted(entry, chosen) for entry in entries], table


def _kind(schema: pa.Schema, name: str) -> type | None:
    """Return the Python type of the values of a column; None if there are no values."""
    index = schema.get_field_index(name)
    if index < 0 or pa.types.is_null(schema.field(index).type):
        return None
    is_one: dict[type, Any] = {
        bool: pa.types.is_boolean,
        int: pa.types.is_integer,
        float: pa.types.is_floating,
        str: lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        datetime: pa.types.is_timestamp,
    }
    kind = schema.field(index).type
    return next((python for python, test in is_one.items() if test(kind)), object)


def _converted(entry: Entry, chosen: Mapping[str, type]) -> Entry:
    metadata = {
        name: value
        if type(value) is chosen[name]
        else (as_text(value) if chosen[name] is str else chosen[name](value))
        for name, value in entry.metadata.items()
    }
    return replace(entry, metadata=metadata)


def _texts(column: pa.ChunkedArray) -> pa.Array:
    values = [None if value is None else as_text(value) for value in column.to_pylist()]
    return pa.array(values, pa.string())
