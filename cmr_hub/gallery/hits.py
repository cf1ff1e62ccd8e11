"""Turning rows of a gallery into hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmr_hub.gallery.items import COLUMNS
from cmr_hub.hit import Hit


@dataclass(frozen=True)
class Explanation:
    """The rank and score of a hit, and the training class nearest to it."""

    rank: int
    score: float
    """Cosine similarity to the query, in [-1, 1]."""
    among: int
    """Number of items in the gallery."""
    nearest_class: str | None
    """Nearest class of the training data; None if the model was trained without classes."""


def hit_of(item: Mapping[str, Any], score: float, rank: int, z: float | None = None) -> Hit:
    """Create a hit from a row of the items table."""
    return Hit(
        rank=rank,
        id=item["id"],
        # Vectors have length 1 up to rounding errors.
        score=min(max(score, -1.0), 1.0),
        file=item["path"],
        sentences=tuple(item["sentences"] or ()),
        label=item["label"],
        metadata={name: item[name] for name in item if name not in COLUMNS},
        z=z,
    )
