"""Paginate and filter the hits of a query."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.fusion import FUSED, fused
from cmr_hub.gallery.items import COLUMNS, COPY_OF, FRAME_ID, TEXT
from cmr_hub.gallery.query import number
from cmr_hub.hit import Hit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.store import Found, Store
    from cmr_hub.gallery.text_in_pictures import TextCondition, TextQuery
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import Modality

CLEAR_AMONG = 1_000
"""Number of best hits among which hits that stand out are searched for. Without a limit, a query
without a match would be compared with all items."""
_FRAME_ID = re.compile(FRAME_ID)
_SPARE = 8
"""Number of extra hits to fetch if some may be copies, to avoid a second search."""


@dataclass(frozen=True)
class Page:
    """The requested part of a ranking; see `Gallery.search`.

    Raises:
        QueryError: k or offset is too small or not an integer, or another argument is not a number.
    """

    k: int
    offset: int = 0
    where: Where | TextCondition | None = None
    min_score: float | None = None
    distinct: bool | float = True
    clear: float | None = None
    neutral: Neutral | None = None
    """Optional scores of neutral sentences, to compute `z`."""
    text: TextQuery | None = None
    """Words and phrases to search for in the text in pictures."""

    def __post_init__(self) -> None:
        # To Python integers, because small NumPy integers overflow at 127 or 255.
        for name in ("k", "offset"):
            object.__setattr__(self, name, _integer(name, getattr(self, name)))
        for name in ("min_score", "distinct", "clear"):
            value = getattr(self, name)
            if value is not None and not (name == "distinct" and isinstance(value, bool)):
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
        raise QueryError(f"{name} must be an integer, not {shown(value)}") from None


def search_pages(
    store: Store, queries: npt.NDArray[np.float64], target: Modality, page: Page
) -> list[list[Hit]]:
    """Return the hits of a page for each of (Q, d) unit queries."""
    last = page.offset + page.k
    limit = max(last, CLEAR_AMONG) if page.clear is not None else sys.maxsize
    is_unfiltered = page.distinct is False and page.clear is None
    copies = store.copies
    first = min(limit, last + (_SPARE if copies and page.distinct is not False else 0))
    by_words: list[tuple[float, Found]] = []
    if page.text is not None and page.text.words and len(queries) == 1:
        by_words = store.search_words(queries[0], page.text.words, FUSED, target, page.where)
        first = max(first, FUSED) if by_words else first
    pages = []
    for query, best in zip(queries, store.search(queries, first, target, page.where), strict=True):
        fetched, by_vector = first, best
        while True:
            found = fused(by_vector, by_words) if by_words else by_vector
            neutral = (
                page.neutral if found.items else None
            )  # without items, the vectors have no dimension
            z = None if neutral is None else neutral.z(found.scores, found.vectors)
            passing = _passing(found, z, page)
            # Some hits were filtered out, and the store may have more.
            is_short = len(passing) < last and len(by_vector.items) == fetched < limit
            if is_unfiltered or not is_short or not page.admits(by_vector.scores[-1]):
                break
            fetched = min(2 * fetched, limit)
            (by_vector,) = store.search(query[None], fetched, target, page.where)
        shown = passing[page.offset : last]
        excerpts: list[str | None] = [None] * len(shown)
        if page.text is not None:
            excerpts = page.text.excerpts([found.items[index][TEXT] for index in shown])
        pages.append(
            [
                hit_of(
                    found.items[index],
                    float(found.scores[index]),
                    rank,
                    None if z is None else float(z[index]),
                    copies.get(picture_of(found.items[index]), 1) - 1 if copies else 0,
                    excerpt,
                )
                for rank, (index, excerpt) in enumerate(
                    zip(shown, excerpts, strict=True), page.offset + 1
                )
            ]
        )
    return pages


def hit_of(
    item: Mapping[str, Any],
    score: float,
    rank: int,
    z: float | None = None,
    duplicates: int = 0,
    text: str | None = None,
) -> Hit:
    """Create a hit from a row of the items table."""
    return Hit(
        rank=rank,
        id=item["id"],
        # Rounding errors can lead out of [-1, 1].
        score=min(max(score, -1.0), 1.0),
        file=item["path"],
        sentences=tuple(item["sentences"] or ()),
        label=item["label"],
        metadata={name: item[name] for name in item if name not in COLUMNS},
        z=z,
        duplicates=duplicates,
        text=text,
    )


def picture_of(item: Mapping[str, Any]) -> str:
    """Return the id of the picture or video of an item, as `items.picture_ids` does."""
    own: str = item["id"]
    if not _FRAME_ID.match(own):
        own = item.get(COPY_OF) or own
    return _FRAME_ID.sub(r"\1", own) if "#" in own else own


def _passing(found: Found, z: npt.NDArray[np.float64] | None, page: Page) -> list[int]:
    """Return the indices of the hits that pass all thresholds, including `distinct`."""
    indices = [
        index
        for index, score in enumerate(found.scores)
        if page.admits(score) and (page.clear is None or z is None or z[index] >= page.clear)
    ]
    if page.distinct is False:
        return indices
    one_of_each: dict[str, int] = {}
    for index in indices:
        one_of_each.setdefault(picture_of(found.items[index]), index)
    if page.distinct is True:
        return list(one_of_each.values())
    kept: list[int] = []
    for index in one_of_each.values():
        if not kept or (found.vectors[kept] @ found.vectors[index]).max() <= page.distinct:
            kept.append(index)
    return kept
