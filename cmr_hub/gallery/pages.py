"""One page of the ranking of each query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmr_hub.errors import QueryError
from cmr_hub.gallery.hit import Hit, hit_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.gallery.store import Found, Store
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import Modality


@dataclass(frozen=True)
class Page:
    """Which hits are wanted; see `Gallery.search`.

    Raises:
        QueryError: k or offset is too small.
    """

    k: int
    offset: int = 0
    where: Where | None = None
    min_score: float | None = None
    distinct: float | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or self.offset < 0:
            raise QueryError(
                f"k must be 1 or more and offset 0 or more, not {self.k} and {self.offset}"
            )

    def admits(self, score: float) -> bool:
        """Whether a hit is good enough."""
        return self.min_score is None or score >= self.min_score


def search_pages(
    store: Store, queries: npt.NDArray[np.float64], target: Modality, page: Page
) -> list[list[Hit]]:
    """The hits of a page for each of (Q, d) unit queries."""
    wanted = page.offset + page.k
    pages = []
    for query, first in zip(
        queries, store.search(queries, wanted, target, page.where), strict=True
    ):
        fetched, found = wanted, first
        while True:
            kept = _kept(found, page)
            # Near-duplicates were hidden, and there are more to take their places.
            is_short = len(kept) < wanted and len(found.items) == fetched
            if page.distinct is None or not is_short or not page.admits(found.scores[-1]):
                break
            fetched *= 2
            (found,) = store.search(query[None], fetched, target, page.where)
        pages.append(
            [
                hit_of(found.items[place], float(found.scores[place]), rank)
                for rank, place in enumerate(kept[page.offset : wanted], page.offset + 1)
            ]
        )
    return pages


def _kept(found: Found, page: Page) -> list[int]:
    """The places of hits that are good enough and not too like a better one."""
    count = len(found.items)
    if page.min_score is not None:
        count = int((found.scores >= page.min_score).sum())
    if page.distinct is None:
        return list(range(count))
    kept: list[int] = []
    for place in range(count):
        if not kept or (found.vectors[kept] @ found.vectors[place]).max() <= page.distinct:
            kept.append(place)
    return kept
