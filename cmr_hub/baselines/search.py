"""Choose settings of baselines by coordinate ascent over a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Grid: TypeAlias = Mapping[str, Sequence[float]]
"""Candidate values of each setting, in order."""

Settings: TypeAlias = dict[str, float]
"""The value of each setting."""


def search_settings(grid: Grid, score: Callable[[Settings], float]) -> Settings:
    """Return settings whose score no change of a single setting improves.

    Start in the middle of the grid and try all values of one setting after the other, until a full
    round brings no improvement. This takes dozens of scores, whereas the full grid takes thousands.
    Ties keep the current value, and no settings are scored twice.
    """
    chosen = {name: values[len(values) // 2] for name, values in grid.items()}
    best = score(chosen)
    seen = {tuple(chosen.values())}
    improved = True
    while improved:
        improved = False
        for name, values in grid.items():
            for value in values:
                candidate = {**chosen, name: value}
                key = tuple(candidate.values())
                if key in seen:
                    continue
                seen.add(key)
                if (reached := score(candidate)) > best:
                    chosen, best, improved = candidate, reached, True
    return chosen
