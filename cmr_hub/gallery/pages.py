"""Paginating and filtering the hits of a query."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.items import COLUMNS
from cmr_hub.gallery.query import number
from cmr_hub.hit import Hit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.store import Found, Store
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import Modality

CLEAR_AMONG = 1_000
"""Number of best scores among which hits that stand out are sought. Without a limit, a query that
matches nothing would be compared with everything."""


@dataclass(frozen=True)
class Page:
    """The requested part of a ranking; see `Gallery.search`.

    Raises:
        QueryError: k or offset is too small or not an integer, or another one is not a number.
    """

    k: int
    offset: int = 0
    where: Where | None = None
    min_score: float | None = None
    distinct: float | None = None
    clear: float | None = None
    neutral: Neutral | None = None
    """Scores of neutral sentences, for z; optional."""

    def __post_init__(self) -> None:
        # Small NumPy integers would overflow at 127 or 255.
        for name in ("k", "offset"):
            object.__setattr__(self, name, _integer(name, getattr(self, name)))
        for name in ("min_score", "distinct", "clear"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, value))
        if self.k < 1 or self.offset < 0:
            raise QueryError(
                f"k must be 1 or more and offset 0 or more, not {self.k} and {self.offset}"
            )

    def admits(self, score: float) -> bool:
        """Return whether a score reaches `min_score`."""
        return self.min_score is None or score >= self.min_score


def _integer(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise QueryError(f"{name} must be a whole number, not {shown(value)}") from None


def search_pages(
    store: Store, queries: npt.NDArray[np.float64], target: Modality, page: Page
) -> list[list[Hit]]:
    """Return the hits of a page for each of (Q, d) unit queries."""
    last = page.offset + page.k
    limit = max(last, CLEAR_AMONG) if page.clear is not None else sys.maxsize
    is_unfiltered = page.distinct is None and page.clear is None
    pages = []
    for query, first in zip(queries, store.search(queries, last, target, page.where), strict=True):
        fetched, found = last, first
        while True:
            neutral = page.neutral if found.items else None  # nothing has no width
            z = None if neutral is None else neutral.z(found.scores, found.vectors)
            kept = _kept(found, z, page)
            # Some hits were filtered out, and the store may have more.
            is_short = len(kept) < last and len(found.items) == fetched < limit
            if is_unfiltered or not is_short or not page.admits(found.scores[-1]):
                break
            fetched = min(2 * fetched, limit)
            (found,) = store.search(query[None], fetched, target, page.where)
        pages.append(
            [
                hit_of(
                    found.items[index],
                    float(found.scores[index]),
                    rank,
                    None if z is None else float(z[index]),
                )
                for rank, index in enumerate(kept[page.offset : last], page.offset + 1)
            ]
        )
    return pages


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


def _kept(found: Found, z: npt.NDArray[np.float64] | None, page: Page) -> list[int]:
    """Return the indices of hits that pass all thresholds, `distinct` included."""
    indices = [
        index
        for index, score in enumerate(found.scores)
        if page.admits(score) and (page.clear is None or z is None or z[index] >= page.clear)
    ]
    if page.distinct is None:
        return indices
    kept: list[int] = []
    for index in indices:
        if not kept or (found.vectors[kept] @ found.vectors[index]).max() <= page.distinct:
            kept.append(index)
    return kept
