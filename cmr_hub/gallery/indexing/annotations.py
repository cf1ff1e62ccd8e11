"""Annotations of pictures, from any source, as a gallery stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from cmr_hub.datasets import metadata
from cmr_hub.datasets.metadata import Annotations, is_clean
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import shown
from cmr_hub.gallery.items import COLUMNS, MODALITY, RESERVED

_OWN = {*COLUMNS, *RESERVED, MODALITY}
_NUMBERS = ("latitude", "longitude", "width", "height")
"""Columns of facts about the picture that must stay numbers, as `taken` must stay a time."""


def annotations_of(record: Mapping[str, Any], where: str, report: ReadReport) -> Annotations:
    """Convert a metadata record to annotations that a gallery can store."""
    return storable(metadata.annotations_of(record, where, report), report)


def storable(found: Annotations, report: ReadReport) -> Annotations:
    """Rename columns whose name the gallery uses, and convert their values to plain ones.

    Both are reported once per column. Lists and objects become JSON text. A value replaces what
    the camera wrote in the column of its name, if it is of that type.
    """
    if not found.metadata:
        return found
    columns: dict[str, Any] = {}
    for name, value in found.metadata.items():
        own = name if _fits(name, value) else f"metadata_{name}"
        while own in _OWN or (own != name and own in found.metadata):
            own = f"metadata_{own}"
        if own != name:
            detail = f"the column {shown(name)} is kept as {own}, as a gallery has its own {name}"
            report.add_once("changed column", found.place, detail)
        if isinstance(value, list | tuple | dict):
            detail = f"lists and objects of the column {shown(name)} are kept as JSON text"
            report.add_once("changed column", found.place, detail)
        try:
            columns[own] = _time(value) if own == "taken" else _plain(value)
        except (TypeError, ValueError):
            own = ""
        if not is_clean(name) or not own:
            columns.pop(own, None)
            detail = f"the value of {shown(name)} cannot be stored"
            report.add("damaged record", found.place, detail)
    return replace(found, metadata=columns)


def _fits(name: str, value: object) -> bool:
    """Return whether a value can stand in the column of this name, if facts are kept there too."""
    if name in _NUMBERS:
        return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return name != "taken" or _time(value) is not None


def _time(value: object) -> datetime | None:
    """Return a time, or a text in the format of ISO 8601, as local time; None for others."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=None) if isinstance(value, datetime) else None


def _plain(value: object) -> str | int | float | bool:
    """Return a value as text or a number. Raises TypeError and ValueError for all others."""
    if isinstance(value, Decimal):
        value = float(value)
    elif isinstance(value, date | time):  # also a date with a time
        value = value.isoformat()
    elif isinstance(value, list | tuple | dict):
        value = json.dumps(value, ensure_ascii=False, default=_plain)
    if not isinstance(value, str | int | float):
        raise TypeError(f"{shown(value)} is neither text nor a number")
    if isinstance(value, str) and not is_clean(value):
        raise ValueError("text that cannot be encoded")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("more than 64 bits")
    return value


def json_record(text: str, where: str, report: ReadReport) -> dict[str, Any]:
    """Parse the record in a JSON file; returns an empty record if it is damaged."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        report.add("damaged record", where, f"not JSON: {error}")
        return {}
    if not isinstance(record, dict):
        report.add("damaged record", where, "not a JSON object")
        return {}
    return record
