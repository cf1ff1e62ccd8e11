"""Fusing the ranking by vectors with the one by the words in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cmr_hub.gallery.store import Found

FUSED: Final = 200
"""Number of best pictures of each ranking that are fused. At rank 200 a picture gains a quarter of
what the first gains, and on the later pages of a search the order matters little."""
_CONSTANT: Final = 60
"""The constant of reciprocal rank fusion, as published (Cormack et al., 2009): it prefers what
is among the first in both."""


def fused(by_vector: Found, by_words: Sequence[tuple[float, Found]]) -> Found:
    """Fuse two rankings by reciprocal rank.

    A picture at rank r of the `FUSED` first by vector gains 1 / (60 + r), and one at rank r by
    words gains s / (60 + r), with s the share of the query's words in its text
    (`text_in_pictures.covered`): one with one word of five moves up a little. Pictures without a
    gain follow in the order of their scores.

    Args:
        by_vector: the best pictures by vector.
        by_words: the best by words, in groups of the same share.
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
    # Sorting is stable, so ties stay in the order of the gallery.
    order = sorted(
        places.items(), key=lambda place: (-gains[place[0]], -place[1][0].scores[place[1][1]])
    )
    return Found(
        [found.items[index] for _, (found, index) in order],
        np.array([found.scores[index] for _, (found, index) in order]),
        np.stack([found.vectors[index] for _, (found, index) in order]),
    )
