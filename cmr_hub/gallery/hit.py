"""One answer of a search."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One item found, with all that the gallery knows about it."""

    rank: int
    """Place in the whole ranking, from 1; on a second page it goes on counting."""
    id: str
    score: float
    """Cosine similarity to the query, in [-1, 1]."""
    path: Path | None
    """The picture's absolute path; None for an item without a picture."""
    sentences: tuple[str, ...]
    label: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    """The item's other columns."""
