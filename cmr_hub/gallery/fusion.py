"""Fuse the ranking by vectors with the ranking by the words in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cmr_hub.gallery.store import Found

FUSED: Final = 200
"""Number of best pictures of each ranking that are fused. The gain at rank 200 is a quarter of the
gain at rank 1, and the order on later pages of results matters little."""
_CONSTANT: Final = 60
"""Constant of reciprocal rank fusion, as published by Cormack et al. (2009). It favours pictures
that rank high in both rankings."""


def fused(by_vector: Found, by_words: Sequence[tuple[float, Found]]) -> Found:
    """Fuse two rankings by reciprocal rank.

    A picture at rank r ≤ `FUSED` by vector gains 1 / (60 + r). A picture at rank r by words gains
    s / (60 + r), where s is the share of the query's words in its text
    (`text_in_pictures.covered`). Pictures without a gain follow in the order of their scores.

    Args:
        by_vector: best pictures by vector.
        by_words: best pictures by words, in groups with the same share.
    """
    groups, start = [(1.0, 0, by_vector)], 0
    for share, found in by_words:
        groups.append((share, start, found))
        start += len(found.items)
    places: dict[str, tuple[Found, int]] = {}
    gains: dict[str, float] = {}
    for share, start, found in groups:
        for index, item in enumerate(found.items):
            rank = start + index + 1
            gain = share / (_CONSTANT + rank) if rank <= FUSED else 0.0
            gains[item["id"]] = gains.get(item["id"], 0.0) + gain
            places.setdefault(item["id"], (found, index))
    # Sorting is stable, so ties keep the order of the gallery.
    order = sorted(
        places.items(), key=lambda place: (-gains[place[0]], -place[1][0].scores[place[1][1]])
    )
    return Found(
        [found.items[index] for _, (found, index) in order],
        np.array([found.scores[index] for _, (found, index) in order]),
        np.stack([found.vectors[index] for _, (found, index) in order]),
    )
