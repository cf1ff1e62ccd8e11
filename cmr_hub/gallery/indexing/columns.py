"""One type for each column of metadata, whatever the records hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cmr_hub.errors import CMRError, shown
from cmr_hub.gallery.indexing.entry import Entry


def settled(entries: Sequence[Entry], schema: pa.Schema) -> list[Entry]:
    """The entries with the values of every column of one type: truth, whole number, number, text.

    Args:
        entries: as the sources gave them.
        schema: of the items that the gallery has already.

    Raises:
        CMRError: the gallery has numbers where now there is text.
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
    place = schema.get_field_index(name)
    there = None if place < 0 else schema.field(place).type
    kind: type[Any] = found.copy().pop() if len(found) == 1 else str
    if found == {int, float}:
        kind = float
    if there is None or pa.types.is_null(there):
        return kind
    if pa.types.is_string(there):
        return str
    number = pa.types.is_integer(there) or pa.types.is_floating(there)
    if (number and kind in (int, float)) or (pa.types.is_boolean(there) and kind is bool):
        return kind
    raise CMRError(
        f"the column {shown(name)} is of type {there} in the gallery and now holds other values: "
        "rename it, or index into a new gallery"
    )
