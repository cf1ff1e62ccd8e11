"""Convert annotations of pictures to values that a gallery can store."""

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
"""Columns of camera facts whose values must be numbers; `taken` must be a time."""


def annotations_of(record: Mapping[str, Any], where: str, report: ReadReport) -> Annotations:
    """Convert a metadata record to annotations that a gallery can store."""
    return storable(metadata.annotations_of(record, where, report), report)


def storable(found: Annotations, report: ReadReport) -> Annotations:
    """Rename columns whose name is reserved, and convert values to text or numbers.

    Both are reported once per column. Lists and objects become JSON text. A value replaces the
    camera fact with the same name if it has the same type.
    """
    if not found.metadata:
        return found
    columns: dict[str, Any] = {}
    for name, value in found.metadata.items():
        own = name if _fits(name, value) else f"metadata_{name}"
        while own in _OWN or (own != name and own in found.metadata):
            own = f"metadata_{own}"
        if own != name:
            detail = f"the column {shown(name)} is stored as {own}, because {name} is reserved"
            report.add_once("changed column", found.place, detail)
        if isinstance(value, list | tuple | dict):
            detail = f"lists and objects in the column {shown(name)} are stored as JSON text"
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
    """Return whether a value has the type of the camera fact with this name, if there is one."""
    if name in _NUMBERS:
        return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return name != "taken" or _time(value) is not None


def _time(value: object) -> datetime | None:
    """Convert a time, a date or ISO 8601 text to local time; return None for other values."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=None) if isinstance(value, datetime) else None


def _plain(value: object) -> str | int | float | bool:
    """Convert a value to text or a number. Raises TypeError or ValueError if it cannot be."""
    if isinstance(value, Decimal):
        value = float(value)
    elif isinstance(value, date | time):  # includes datetime
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
    """Parse the record in a JSON file. Return an empty record if it is damaged."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        report.add("damaged record", where, f"not JSON: {error}")
        return {}
    if not isinstance(record, dict):
        report.add("damaged record", where, "not a JSON object")
        return {}
    return record
