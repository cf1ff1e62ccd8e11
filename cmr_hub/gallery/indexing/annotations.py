"""Annotations of pictures, from any source."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmr_hub.datasets.metadata import TEXT_KEYS, is_clean, record_label, record_sentences
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import shown
from cmr_hub.gallery.items import COLUMNS, MODALITY, RESERVED

_KNOWN = {*COLUMNS, *TEXT_KEYS, *RESERVED, MODALITY, "file_name", "image"}


@dataclass(frozen=True)
class Annotations:
    """Sentences, label and metadata of a picture."""

    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def annotations_of(record: Mapping[str, Any], where: str, report: ReadReport) -> Annotations:
    """Convert a metadata record to annotations."""
    metadata = {}
    for name, value in record.items():
        if name in _KNOWN or not isinstance(value, str | int | float | bool):
            continue
        if isinstance(value, float) and math.isnan(value):
            continue  # pandas writes missing values as NaN
        if is_clean(name) and _is_storable(value):
            metadata[name] = value
        else:
            report.add("damaged record", where, f"the value of {shown(name)} cannot be stored")
    plain = dict(record)
    return Annotations(
        record_sentences(plain, where, report), record_label(plain, where, report), metadata
    )


def _is_storable(value: object) -> bool:
    """Return False for text that cannot be encoded and for integers of more than 64 bits."""
    if isinstance(value, str):
        return is_clean(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63


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
