"""Rows of a gallery as answers of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmr_hub.gallery.items import COLUMNS
from cmr_hub.hit import Hit


@dataclass(frozen=True)
class Explanation:
    """Why an item was found where it was."""

    rank: int
    score: float
    """Cosine similarity to the query, in [-1, 1]."""
    among: int
    """How many items the gallery has."""
    nearest_class: str | None
    """Of the classes that the model was trained with; None where there were none."""


def hit_of(item: Mapping[str, Any], score: float, rank: int, z: float | None = None) -> Hit:
    """A row of the table of items as a hit."""
    return Hit(
        rank=rank,
        id=item["id"],
        # Rows are of length 1 but for rounding.
        score=min(max(score, -1.0), 1.0),
        file=item["path"],
        sentences=tuple(item["sentences"] or ()),
        label=item["label"],
        metadata={name: item[name] for name in item if name not in COLUMNS},
        z=z,
    )
