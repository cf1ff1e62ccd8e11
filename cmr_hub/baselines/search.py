"""How baselines choose their settings: coordinate ascent over a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Grid: TypeAlias = Mapping[str, Sequence[float]]
"""Name of a setting → the values it may take, in order."""

Settings: TypeAlias = dict[str, float]
"""Name of a setting → its value."""


def search_settings(grid: Grid, score: Callable[[Settings], float]) -> Settings:
    """The settings from which no change of a single one raises the score.

    It starts in the middle of the grid and goes through the settings in turn, each over all its
    values, until a whole round brings nothing. So it asks for some dozens of scores where the
    full grid has thousands, and of equal values keeps the one it has. No settings are scored
    twice.
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
