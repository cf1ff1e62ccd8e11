"""Unifying the type of each metadata column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cmr_hub.errors import CMRError, shown
from cmr_hub.gallery.indexing.entry import Entry


def settled(entries: Sequence[Entry], schema: pa.Schema) -> list[Entry]:
    """Convert the values of each metadata column to one type: bool, int, float or str.

    Args:
        entries: entries from any source.
        schema: schema of the gallery's existing items.

    Raises:
        CMRError: the gallery has numbers in a column that now contains text.
    """
    kinds: dict[str, set[type]] = {}
    for entry in entries:
        for name, value in entry.metadata.items():
            kinds.setdefault(name, set()).add(type(value))
    chosen = {name: _kind(name, found, schema) for name, found in kinds.items()}
    if all(found == {chosen[name]} for name, found in kinds.items()):
        return list(entries)
    return [
        replace(
            entry,
            metadata={name: chosen[name](value) for name, value in entry.metadata.items()},
        )
        for entry in entries
    ]


def _kind(name: str, found: set[type], schema: pa.Schema) -> type[Any]:
    index = schema.get_field_index(name)
    stored = None if index < 0 else schema.field(index).type
    kind: type[Any] = found.copy().pop() if len(found) == 1 else str
    if found == {int, float}:
        kind = float
    if stored is None or pa.types.is_null(stored):
        return kind
    if pa.types.is_string(stored):
        return str
    is_number = pa.types.is_integer(stored) or pa.types.is_floating(stored)
    if (is_number and kind in (int, float)) or (pa.types.is_boolean(stored) and kind is bool):
        return kind
    raise CMRError(
        f"the column {shown(name)} is of type {stored} in the gallery and now has other values: "
        "rename it, or index into a new gallery"
    )
