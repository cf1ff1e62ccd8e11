"""One answer of a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
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
    file: str | None
    """The picture's absolute path as text; None for an item without a picture."""
    sentences: tuple[str, ...]
    label: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    """The item's other columns."""
    z: float | None = None
    """How many standard deviations the score is above those of neutral sentences with this item;
    None where that is not known: see `clear.Neutral`."""
    duplicates: int = 0
    """How many other items of the gallery are copies of the picture, or frames of its video."""
    text: str | None = None
    """Part of the text in the picture, around a word of the query; None if no word is in it."""

    @property
    def path(self) -> Path | None:
        """The picture's absolute path; None for an item without a picture."""
        # Made when asked for: a path takes its text apart, which for ten hits is a tenth of the
        # time of a search among a million.
        return None if self.file is None else Path(self.file)

    def record(self) -> dict[str, Any]:
        """What is known, by name: for JSON."""
        record = asdict(self)
        return {"path" if name == "file" else name: record[name] for name in record}

    def at_rank(self, rank: int) -> Hit:
        """The same in another place."""
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
