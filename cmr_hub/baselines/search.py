"""Choose settings of baselines by coordinate ascent over a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Grid: TypeAlias = Mapping[str, Sequence[float]]
"""Ordered candidate values by the name of the setting."""

Settings: TypeAlias = dict[str, float]
"""Values by the name of the setting."""


def search_settings(grid: Grid, score: Callable[[Settings], float]) -> Settings:
    """Return settings whose score no change of a single setting improves.

    Starts in the middle of the grid and tries all values of one setting after the other, until a
    full round brings no improvement. This needs dozens of scores where the full grid has
    thousands. Ties keep the current value, and no settings are scored twice.
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
