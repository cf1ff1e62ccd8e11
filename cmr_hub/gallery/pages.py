"""One page of the ranking of each query."""

from __future__ import annotations

import operator
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.hits import hit_of
from cmr_hub.hit import Hit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.store import Found, Store
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import Modality

CLEAR_AMONG = 1_000
"""Hits that stand out are looked for among so many of the best scores: else a query of which there
is nothing would be compared with everything."""


@dataclass(frozen=True)
class Page:
    """Which hits are wanted; see `Gallery.search`.

    Raises:
        QueryError: k or offset is too small, or no whole number.
    """

    k: int
    offset: int = 0
    where: Where | None = None
    min_score: float | None = None
    distinct: float | None = None
    clear: float | None = None
    neutral: Neutral | None = None
    """What z is reckoned with; None where it is not known."""

    def __post_init__(self) -> None:
        # Whole numbers of NumPy go round at 255 or 127.
        for name in ("k", "offset"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if self.k < 1 or self.offset < 0:
            raise QueryError(
                f"k must be 1 or more and offset 0 or more, not {self.k} and {self.offset}"
            )

    def admits(self, score: float) -> bool:
        """Whether a hit is good enough."""
        return self.min_score is None or score >= self.min_score


def _whole(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise QueryError(f"{name} must be a whole number, not {shown(value)}") from None


def search_pages(
    store: Store, queries: npt.NDArray[np.float64], target: Modality, page: Page
) -> list[list[Hit]]:
    """The hits of a page for each of (Q, d) unit queries."""
    wanted = page.offset + page.k
    most = max(wanted, CLEAR_AMONG) if page.clear is not None else sys.maxsize
    is_whole = page.distinct is None and page.clear is None
    pages = []
    for query, first in zip(
        queries, store.search(queries, wanted, target, page.where), strict=True
    ):
        fetched, found = wanted, first
        while True:
            z = None if page.neutral is None else page.neutral.z(found.scores, found.vectors)
            kept = _kept(found, z, page)
            # Some were hidden, and there are more to take their places.
            is_short = len(kept) < wanted and len(found.items) == fetched < most
            if is_whole or not is_short or not page.admits(found.scores[-1]):
                break
            fetched = min(2 * fetched, most)
            (found,) = store.search(query[None], fetched, target, page.where)
        pages.append(
            [
                hit_of(
                    found.items[place],
                    float(found.scores[place]),
                    rank,
                    None if z is None else float(z[place]),
                )
                for rank, place in enumerate(kept[page.offset : wanted], page.offset + 1)
            ]
        )
    return pages


def _kept(found: Found, z: npt.NDArray[np.float64] | None, page: Page) -> list[int]:
    """The places of hits that are good enough and not too like a better one."""
    places = [
        place
        for place, score in enumerate(found.scores)
        if page.admits(score) and (page.clear is None or z is None or z[place] >= page.clear)
    ]
    if page.distinct is None:
        return places
    kept: list[int] = []
    for place in places:
        if not kept or (found.vectors[kept] @ found.vectors[place]).max() <= page.distinct:
            kept.append(place)
    return kept
