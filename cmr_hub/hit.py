"""Results of a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """An item found by a search, with its columns in the gallery."""

    rank: int
    """Rank in the full ranking, from 1; it continues on the next pages."""
    id: str
    score: float
    """Cosine similarity to the query, in [-1, 1]."""
    file: str | None
    """The picture's absolute path as text; None for an item without a picture."""
    sentences: tuple[str, ...]
    label: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    """The item's other columns."""
    z: float | None = None
    """Number of standard deviations by which the score exceeds the scores of neutral sentences with
    this item; None if unknown. See `clear.Neutral`."""
    duplicates: int = 0
    """Number of other items of the gallery that are copies of the picture or frames of its video.
    """
    text: str | None = None
    """Excerpt of the text in the picture around a word of the query; None without such a word."""

    @property
    def path(self) -> Path | None:
        """The picture's absolute path; None for an item without a picture."""
        # Not a field: parsing ten paths takes a tenth of the time of a search in a million items.
        return None if self.file is None else Path(self.file)

    def record(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON, with the file as `path`."""
        record = asdict(self)
        return {"path" if name == "file" else name: record[name] for name in record}

    def at_rank(self, rank: int) -> Hit:
        """Return a copy with another rank."""
        return replace(self, rank=rank)


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
