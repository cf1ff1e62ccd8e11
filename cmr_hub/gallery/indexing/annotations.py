"""What is said of a picture, wherever it is said."""

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
    """Sentences, label and further columns of a picture."""

    sentences: tuple[str, ...] = ()
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def annotations_of(record: Mapping[str, Any], where: str, report: ReadReport) -> Annotations:
    """What a record of metadata says."""
    metadata = {}
    for name, value in record.items():
        if name in _KNOWN or not isinstance(value, str | int | float | bool):
            continue
        if isinstance(value, float) and math.isnan(value):
            continue  # so pandas writes what is missing
        if is_clean(name) and _can_be_kept(value):
            metadata[name] = value
        else:
            report.add("damaged record", where, f"the value of {shown(name)} cannot be kept")
    plain = dict(record)
    return Annotations(
        record_sentences(plain, where, report), record_label(plain, where, report), metadata
    )


def _can_be_kept(value: object) -> bool:
    """Not text that cannot be written to a file, nor a whole number of more than 64 bits."""
    if isinstance(value, str):
        return is_clean(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def json_record(text: str, where: str, report: ReadReport) -> dict[str, Any]:
    """The record in a JSON file; an empty one if it is damaged."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        report.add("damaged record", where, f"not JSON: {error}")
        return {}
    if not isinstance(record, dict):
        report.add("damaged record", where, "not a JSON object")
        return {}
    return record
